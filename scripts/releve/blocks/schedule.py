"""How fast blocks may move, by the hours of the week.

A schedule is a list of windows, parted by semicolons: `mo-fr 08:00-18:00 20; sa 20:00-02:00 50`.
A window has days (`mo`, `mo-fr`, `mo,we`; none: all), hours (none: the whole day; past midnight
they belong to the day they begin on) and a rate in MiB/s, `pause` or `unlimited`. The first window
that holds decides; outside of all of them nothing is limited. A bare number holds always, and 0
is no limit. Hours are those of the schedule's time zone; without one, of the machine that moves.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from releve.blocks.errors import BlocksError

if TYPE_CHECKING:
    import datetime

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
DAY_MINUTES = 24 * 60
_HOURS = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)")
_RATE = re.compile(r"\d+(\.\d+)?")
UNLIMITED = math.inf
LEAST = 0.001  # MiB/s: a share of a slow line is not rounded to none
WEEK_MINUTES = 7 * DAY_MINUTES


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

    def __str__(self) -> str:
        """Write the window as `parse` reads it."""
        words = []
        if len(self.days) < len(DAYS):
            names = [DAYS[day] for day in sorted(self.days)]
            run = 1 < len(names) == max(self.days) - min(self.days) + 1
            words.append(f"{names[0]}-{names[-1]}" if run else ",".join(names))
        if (self.start, self.end) != (0, DAY_MINUTES):
            words.append(f"{_clock(self.start)}-{_clock(self.end)}")
        spoken = {0.0: "pause", UNLIMITED: "unlimited"}
        rate = spoken.get(self.rate) or f"{self.rate:.3f}".rstrip("0").rstrip(".")
        return " ".join([*words, rate])

    @property
    def always(self) -> bool:
        """Whether it holds at any hour of the week."""
        return len(self.days) == len(DAYS) and self.end - self.start >= DAY_MINUTES


@dataclass(frozen=True, slots=True)
class Schedule:
    """The windows of a week, the first that holds decides, by the clock of `zone`."""

    windows: tuple[Window, ...] = ()
    zone: datetime.tzinfo | None = None

    def rate(self, moment: datetime.datetime) -> float:
        """Return the MiB/s allowed at a moment: 0 is a pause, infinity no limit."""
        local = moment.astimezone(self.zone)
        return self._at(local.weekday(), local.hour * 60 + local.minute)

    def _at(self, day: int, minute: int) -> float:
        for window in self.windows:
            if window.holds(day, minute):
                return window.rate
        return UNLIMITED

    def mean(self, line: float) -> float:
        """Return the MiB/s that a week allows on average over a line of `line` MiB/s."""
        if not self.windows:
            return line
        minutes = (divmod(minute, DAY_MINUTES) for minute in range(WEEK_MINUTES))
        return sum(min(line, self._at(day, minute)) for day, minute in minutes) / WEEK_MINUTES

    def shared(self, count: int) -> Schedule:
        """Return what each of `count` may have of this."""
        return replace(
            self,
            windows=tuple(
                replace(one, rate=max(LEAST, one.rate / count) if one.rate else 0.0)
                for one in self.windows
            ),
        )

    def __str__(self) -> str:
        """Write the schedule as `parse` reads it; its zone is not part of it."""
        return "; ".join(map(str, self.windows)) or "0"


NO_LIMIT = Schedule()


def parse(text: str, zone: str = "") -> Schedule:
    """Return the schedule that a text describes, of a zone by its IANA name.

    Raises ScheduleError naming what is wrong.
    """
    parts = [part.strip() for part in text.split(";")]
    if not any(parts):
        message = "bandwidth: nothing; write 0 for no limit"
        raise ScheduleError(message)
    if len(parts) == 1 and _RATE.fullmatch(parts[0]) and float(parts[0]) == 0:
        return NO_LIMIT
    windows = tuple(_window(part) for part in parts if part)
    clock = zone and not all(window.always for window in windows)
    found = Schedule(windows, _zone(zone) if clock else None)
    if not found.mean(1.0):
        message = f"bandwidth {text!r}: a pause that never ends"
        raise ScheduleError(message)
    return found


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, ValueError) as error:
        message = f"time zone {name!r}: {error}"
        raise ScheduleError(message) from error
    except KeyError as error:
        message = f"time zone {name!r} is not known here; install the package tzdata"
        raise ScheduleError(message) from error


def _clock(minutes: int) -> str:
    hour = minutes // 60 if minutes <= DAY_MINUTES else minutes // 60 - 24
    return f"{hour:02}:{minutes % 60:02}"


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
