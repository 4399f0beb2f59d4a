"""A UPS whose words cannot be believed: each variable by its own kind of lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# frozen: the value of the moment when the lie began; rising: grows while it falls in truth.
Lie = Literal["absent", "0", "N/A", "frozen", "x10", "rising"]


@dataclass(slots=True)
class Liar:
    """What is said instead of the truth; `silent`: the driver answers, and polls nothing."""

    lies: dict[str, Lie] = field(default_factory=dict)
    silent: bool = False
    _first: dict[str, str] = field(default_factory=dict)
    _last: dict[str, str] = field(default_factory=dict)

    def tell(self, truth: dict[str, str]) -> dict[str, str]:
        """Return what is published when `truth` is so."""
        if self.silent and self._last:
            return dict(self._last)
        said = dict(truth)
        for name, lie in self.lies.items():
            first = self._first.setdefault(name, truth.get(name, ""))
            match lie:
                case "absent":
                    said.pop(name, None)
                case "frozen":
                    said[name] = first
                case "x10":
                    said[name] = f"{10 * float(truth[name]):.0f}"
                case "rising":
                    said[name] = f"{2 * float(first) - float(truth[name]):.0f}"
                case _:
                    said[name] = lie
        self._first = {name: text for name, text in self._first.items() if name in self.lies}
        self._last = said
        return dict(said)
