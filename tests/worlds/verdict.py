"""What a world's timeline means: who was shut down, who was cut while running, who came back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


CUTS = ("shutdown.return", "shutdown.stayoff", "load.off", "shutdown.reboot")
ALERT = 4  # syslog's "warning" and worse
ALARMS = ("lost", "unavailable", "no longer", "says nothing", "denied", "could not", "UPS")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, `at` seconds after the world was ready."""

    at: float
    subject: str
    kind: str
    what: str
    more: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it flat."""
        line = asdict(self)
        more: dict[str, Any] = line.pop("more")
        return more | line


@dataclass(frozen=True, slots=True)
class Cut:
    """A power command that reached the UPS, and who was still running then."""

    at: float
    command: str
    running: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a world; times are seconds after it was ready.

    `unclean`: hosts that lost their power while they ran; `mixed`: some are up, some are dark at
    the end; `missing`: hosts that run and are not logged in; `forced`: guests stopped by force;
    `lag`: the longest time for which the power side stood still, since the machine was busy.
    """

    up: tuple[str, ...]
    dark: tuple[str, ...]
    missing: tuple[str, ...]
    unclean: tuple[str, ...]
    shutdowns: dict[str, list[float]]
    downs: dict[str, list[float]]
    boots: dict[str, list[float]]
    off: list[float]
    commands: list[Cut]
    forced: tuple[str, ...]
    logs: list[tuple[float, str, str]]
    lag: float = 0.0

    @property
    def mixed(self) -> bool:
        """Whether the site ends half up and half dark."""
        return bool(self.up and self.dark)

    @property
    def rode(self) -> bool:
        """Whether nobody was shut down at all."""
        return not any(self.shutdowns.values()) and not self.unclean

    @property
    def back(self) -> bool:
        """Whether at the end everybody is up and logged in."""
        return not self.dark and not self.missing

    @property
    def early_cuts(self) -> list[Cut]:
        """Power commands that came while a host still ran."""
        return [cut for cut in self.commands if cut.running]


def judge(
    lines: Sequence[Line],
    running: Iterable[str],
    logged_in: Iterable[str],
    names: tuple[str, ...],
    awaited: Iterable[str],
) -> Outcome:
    """Return the verdict on a timeline, and on who runs and is logged in at its end."""
    up, absent = set(running), set(awaited) - set(logged_in)
    later = [line for line in lines if line.at >= 0]

    def times(kind: str) -> dict[str, list[float]]:
        return {
            name: [line.at for line in later if line.subject == name and line.kind == kind]
            for name in names
        }

    return Outcome(
        up=tuple(name for name in names if name in up),
        dark=tuple(name for name in names if name not in up),
        missing=tuple(name for name in names if name in up & absent),
        unclean=tuple(
            line.subject for line in later if line.kind == "cut" and not line.more["clean"]
        ),
        shutdowns=times("shutdown"),
        downs=times("down"),
        boots=times("boot"),
        off=[line.at for line in later if line.kind == "output-off"],
        commands=_cuts(lines, names),
        forced=tuple(
            line.more["guest"]
            for line in later
            if line.kind == "guest-stopped" and not line.more["clean"]
        ),
        logs=[(line.at, line.subject, line.what) for line in later if line.kind in {"log", "said"}],
    )


def _cuts(lines: Sequence[Line], names: tuple[str, ...]) -> list[Cut]:
    """Return each power command with the hosts whose file systems were not down at that time."""
    running: set[str] = set()
    found = []
    for line in lines:
        if line.subject in names and line.kind in {"boot", "down", "halted", "cut"}:
            (running.add if line.kind == "boot" else running.discard)(line.subject)
        if line.kind == "command" and line.what.startswith(CUTS):
            found.append(Cut(line.at, line.what, tuple(sorted(running))))
    return [cut for cut in found if cut.at >= 0]
