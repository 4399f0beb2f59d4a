"""The levels of the power drill: what each proves, what it stops, and where it may run."""

from __future__ import annotations

from dataclasses import dataclass

from releve.errors import InputError, RefusedError

LAB_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Level:
    """One level; `stops` is what stands still for it."""

    number: int
    title: str
    stops: str
    proves: str

    @property
    def evidence(self) -> str:
        """The name of its evidence file; the whole power cut has the plain one."""
        return "power" if self.number == LAB_LEVEL else f"power-{self.number}"


LEVELS = (
    Level(0, "paper", "nothing", "the battery carries the shutdown, and the files are sound"),
    Level(1, "shadow", "nothing", "each host's own NUT fires as configured"),
    Level(2, "guests", "the guests that stop first", "they stop in their time and come back"),
    Level(3, "whole", "everything, in the lab", "the site stops in order and is back by itself"),
    Level(4, "plug", "nothing, when the plug is put back in time", "the UPS sees its mains go"),
)


def level_of(number: int | None, *, in_lab: bool) -> Level:
    """Return the level that is meant; none given: the whole cut in the lab, paper elsewhere.

    Raises InputError for a number that is no level, RefusedError for level 3 outside of the lab.
    """
    if number is None:
        number = LAB_LEVEL if in_lab else 0
    if number not in range(len(LEVELS)):
        message = f"there is no level {number}; there are 0 to {len(LEVELS) - 1}"
        raise InputError(message)
    if number == LAB_LEVEL and not in_lab:
        message = "level 3 cuts the mains of the whole site, so it is for the lab alone: add --lab"
        raise RefusedError(message)
    return LEVELS[number]
