"""What an endpoint is, and what its code is given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .machines import Machines
from .parameters import Parameter, Parameters, text
from .rights import Rights, load
from .tasks import Tasks
from .volumes import Storages

if TYPE_CHECKING:
    from collections.abc import Callable

    from .place import Place

NODE = text("pve-node", required=True)
VMID = Parameter("integer", False, minimum=100, maximum=999_999_999, format="pve-vmid")


class Double:
    """One host: its files, its tasks, its guests and its storages."""

    def __init__(self, place: Place) -> None:
        """Make the folders that are missing and close tasks of an earlier process."""
        place.prepare()
        self.place = place
        self.tasks = Tasks(place)
        self.machines = Machines(place)
        self.storages = Storages(place)


@dataclass(slots=True)
class Call:
    """One request: who asks, what was sent, and (once verified) the typed values."""

    double: Double
    caller: str
    given: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def rights(self) -> Rights:
        """The caller's rights as they are now."""
        return Rights(load(self.double.place), self.caller)

    def said(self, name: str) -> str:
        """Return a parameter as it was sent, `-` when it was not (for checks of rights)."""
        return str(self.given.get(name, "-"))


@dataclass(frozen=True, slots=True)
class Answer:
    """Data with something beside it, as lists of tasks and logs have."""

    data: Any
    beside: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, what may be sent, who may, and what then happens."""

    method: str
    path: str
    parameters: Parameters
    code: Callable[[Call], Any]
    check: Callable[[Call], None] | None = None

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the variables of the path when this endpoint is the one that is asked for."""
        if method != self.method:
            return None
        pattern = re.sub(r"\{(\w+)\}", _variable, self.path)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


def _variable(name: re.Match[str]) -> str:
    # A volume's id holds a slash; no other variable may, nor may any hold a blank.
    return f"(?P<{name[1]}>\\S+)" if name[1] == "volume" else f"(?P<{name[1]}>[^/\\s]+)"


def need(path: str, *privileges: str, every: bool = True) -> Callable[[Call], None]:
    """Return a check for privileges on a path with variables, like `/storage/{storage}`."""

    def check(call: Call) -> None:
        filled = re.sub(r"\{(\w+)\}", lambda name: call.said(name[1]), path)
        call.rights.need(filled, *privileges, every=every)

    return check
