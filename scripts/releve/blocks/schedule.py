"""How fast blocks may move, by the hours of the week.

A schedule is a list of windows, parted by semicolons: `mo-fr 08:00-18:00 20; sa 20:00-02:00 50`.
A window has days (`mo`, `mo-fr`, `mo,we`; none: all), hours (none: the whole day; past midnight
they belong to the day they begin on) and a rate in MiB/s, `pause` or `unlimited`. The first window
that holds decides; outside of all of them nothing is limited. A bare number holds always, and 0
is no limit. Hours are those of the clock of the machine that moves.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.blocks.errors import BlocksError

if TYPE_CHECKING:
    import datetime

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
DAY_MINUTES = 24 * 60
_HOURS = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)")
_RATE = re.compile(r"\d+(\.\d+)?")
UNLIMITED = math.inf


class ScheduleError(BlocksError):
    """A schedule cannot be understood."""

    kind = "schedule"


@dataclass(frozen=True, slots=True)
class Window:
    """Days (0: Monday), minutes of the day from `start` to before `end`, rate in MiB/s."""

    days: frozenset[int]
    start: int
    end: int
    rate: float

    def holds(self, day: int, minute: int) -> bool:
        """Tell whether the window holds; one that ends past midnight began the day before."""
        if day in self.days and self.start <= minute < self.end:
            return True
        return (day - 1) % len(DAYS) in self.days and minute + DAY_MINUTES < self.end


@dataclass(frozen=True, slots=True)
class Schedule:
    """The windows of a week, the first that holds decides."""

    windows: tuple[Window, ...] = ()

    def rate(self, moment: datetime.datetime) -> float:
        """Return the MiB/s allowed at a moment: 0 is a pause, infinity no limit."""
        minute = moment.hour * 60 + moment.minute
        for window in self.windows:
            if window.holds(moment.weekday(), minute):
                return window.rate
        return UNLIMITED


def parse(text: str) -> Schedule:
    """Return the schedule that a text describes; raise ScheduleError naming what is wrong."""
    parts = [part.strip() for part in text.split(";")]
    if len(parts) == 1 and _RATE.fullmatch(parts[0]) and float(parts[0]) == 0:
        return Schedule()
    return Schedule(tuple(_window(part) for part in parts if part))


def _window(text: str) -> Window:
    words = text.lower().split()
    rate = _rate(words.pop(), text)
    start, end = 0, DAY_MINUTES
    if words and ":" in words[-1]:
        start, end = _minutes(words.pop(), text)
    days = _days(words.pop(), text) if words else frozenset(range(len(DAYS)))
    if words:
        message = f"bandwidth {text!r}: more than days, hours and a rate; write windows with `;`"
        raise ScheduleError(message)
    return Window(days, start, end, rate)


def _rate(word: str, text: str) -> float:
    if word in {"pause", "unlimited"}:
        return 0.0 if word == "pause" else UNLIMITED
    if not _RATE.fullmatch(word) or float(word) == 0:
        message = (
            f"bandwidth {text!r}: {word!r} is no rate; it ends with MiB/s above 0,"
            " `pause` or `unlimited`, as in `mo-fr 08:00-18:00 20`"
        )
        raise ScheduleError(message)
    return float(word)


def _minutes(word: str, text: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(word)
    numbers = [int(one) for one in found.groups()] if found else [99] * 4
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:  # noqa: PLR2004  # minutes
        message = f"bandwidth {text!r}: {word!r} are no hours; write them as 08:00-18:00"
        raise ScheduleError(message)
    if start == end:
        message = f"bandwidth {text!r}: {word!r} begins when it ends; a whole day has no hours"
        raise ScheduleError(message)
    return start, end if end > start else end + DAY_MINUTES


def _days(word: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in word.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            message = f"bandwidth {text!r}: {part!r} is no day; there are {' '.join(DAYS)}"
            raise ScheduleError(message)
        count = (DAYS.index(last) - DAYS.index(first)) % len(DAYS) if dash else 0
        days |= {(DAYS.index(first) + step) % len(DAYS) for step in range(count + 1)}
    return frozenset(days)
