"""What stops took on a host, as `releve power stops` keeps it: `measured/host.NAME.json`.

The expected case of the budget is made of it, never the worst one. A UPS's record cannot have such
a name.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stops:
    """Seconds: of each guest by its number, and of the host itself; None: never seen."""

    guests: dict[int, float] = field(default_factory=dict)
    host: float | None = None

    @classmethod
    def read(cls, folder: Path, host: str) -> Stops:
        """Read what is kept of a host, nothing when nothing is; raises InputError."""
        file = file_of(folder, host)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            message = f"{file}: cannot be read ({error}); run: releve power stops"
            raise InputError(message) from error
        return cls.parse(content, str(file))

    @classmethod
    def parse(cls, content: object, where: str) -> Stops:
        """Validate what `power.pyz guest-stops --measured` says; raises InputError."""
        try:
            if not isinstance(content, dict) or set(content) != {"guests", "host"}:
                raise TypeError
            guests = {int(vmid): _seconds(one) for vmid, one in content["guests"].items()}
            host = None if content["host"] is None else _seconds(content["host"])
        except (TypeError, ValueError, AttributeError):
            right = '{"guests": {"101": 12.5}, "host": 20.0}, seconds; host null when not known'
            message = f"{where}: is wrong; right is {right}"
            raise InputError(message) from None
        return cls(guests, host)

    def after(self, before: Stops) -> Stops:
        """Return what is known now: a guest that was not stopped since keeps its last figure."""
        host = before.host if self.host is None else self.host
        return Stops(before.guests | self.guests, host)

    def write(self, folder: Path, host: str) -> Path:
        """Keep it; returns the file; raises OSError."""
        file = file_of(folder, host)
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "guests": {str(vmid): self.guests[vmid] for vmid in sorted(self.guests)},
            "host": self.host,
        }
        part = file.with_name(f".{file.name}.part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(file)
        return file


def file_of(folder: Path, host: str) -> Path:
    """Return where a host's stops are kept."""
    return folder / "measured" / f"host.{host}.json"


def _seconds(value: Any) -> float:  # noqa: ANN401  # JSON
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TypeError
    return float(value)
