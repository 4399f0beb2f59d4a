"""What share of a measured capacity is counted on, by the age of the battery. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR = 365.25  # days
YOUNG_YEARS = 2  # within which nothing is taken off
LOSS_PER_YEAR = 0.05  # taken off for each year begun after that
OLD = 0.6  # at most, once it is older than its life
# At least: capacities are divided by the share, and a date of last century is a slip of the pen.
LEAST = 0.05
DEEP = {"deep", "plug-pull", "drill"}  # measurements that really emptied it
FRESH_DAYS = 366  # for which such a measurement speaks for a battery older than its life
MONTHS = 12
# A day has no hour, and the clocks of two hosts differ: tomorrow is no day of the future.
AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Age:
    """What is known of a battery's age; `measured_how` as in the record of the measurement."""

    installed: date | None = None
    life_months: int = 48
    measured_on: date | None = None
    measured_how: str | None = None


def from_the_future(day: date, today: date) -> bool:
    """Tell whether a day is later than any clock that is right could have said."""
    return day > today + AHEAD


def derate_of(new: float, age: Age, today: date) -> float:
    """Return the share: `new` for a young battery, less for an old one.

    A battery loses a twentieth for each year begun after its second; past its life no more than
    six tenths are counted on. A deep measurement has the ageing until its day in its number, so
    only what came after is taken off, and for a year it also speaks for a battery past its life.
    Without a date of installation only the age of the measurement counts. One of a day that has
    not come excuses no age.
    """
    if age.measured_on is not None and from_the_future(age.measured_on, today):
        age = replace(age, measured_on=None)
    deep = age.measured_on if age.measured_how in DEEP else None
    if age.installed is None:
        begun = age.measured_on or today
        return round(max(LEAST, new - LOSS_PER_YEAR * _years_begun(begun, today)), 4)
    lost = _years_lost(age.installed, today)
    if deep is not None:
        lost -= _years_lost(age.installed, deep)
    share = new - LOSS_PER_YEAR * max(0, lost)
    is_old = (today - age.installed).days > age.life_months / MONTHS * YEAR
    if is_old and (deep is None or (today - deep).days > FRESH_DAYS):
        share = min(share, OLD)
    return round(max(LEAST, share), 4)


def days_to_come(today: str | None, installed: str | None, measured: str | None) -> Iterator[str]:
    """Yield a sentence for each day that has not come: from there on nothing would ever be old."""
    if today is None:
        return
    now = date.fromisoformat(today)
    days = (
        ("battery_installed", installed, "write the day that is on the battery"),
        ("the record of the measurement: on:", measured, "measure it anew"),
    )
    for what, text, remedy in days:
        if text is not None and from_the_future(date.fromisoformat(text), now):
            yield (
                f"{what} {text} is in the future, by the clock of the host that reckons ({today}):"
                f" set that, if it is wrong, else {remedy}"
            )


def _years_begun(begin: date, end: date) -> int:
    """Return the whole years between, a year begun not counted in the first one."""
    return max(0, math.ceil((end - begin).days / YEAR) - 1)


def _years_lost(installed: date, day: date) -> int:
    return max(0, math.ceil((day - installed).days / YEAR) - YOUNG_YEARS)
