"""When a battery has to be replaced: by its age, and by how its capacity falls.

Pure. A date that a UPS gives is believed only when a battery may have it; a fit needs enough
measurements at about the same load, and says nothing before. Standard library only.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.readings import believable_date

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from releve.power.measurement import Past

Point = tuple[datetime.date, float]

LIFE_MONTHS = 48
FIT_POINTS = 3
FARTHEST_DAYS = 36_500  # beyond that a date says nothing
FIT_DAYS = 180  # between the first and the last of them
LOAD_SHARE = 0.2  # of the newest load: who drains more slowly lasts longer
DATE_NAMES = ("battery.date", "battery.mfr.date")
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{2,4})$")
_YEAR_FIRST = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})")
_CENTURY = 100
_TURN = 85  # a year of two digits from here on is of the last century


@dataclass(frozen=True, slots=True)
class Forecast:
    """When to replace, and why; `by` None: nothing is known that would tell.

    `by_age` and `by_capacity` are the two dates that it is the earlier one of.
    """

    by: datetime.date | None
    why: str
    by_age: datetime.date | None = None
    by_capacity: datetime.date | None = None


def battery_date(variables: Mapping[str, str]) -> datetime.date | None:
    """Return the date of the battery that a UPS gives; None: none, or one that cannot be.

    The day of `10/11/07` is not to be told from its month: NUT's drivers give the month first.
    """
    for name in DATE_NAMES:
        text = variables.get(name, "").strip()
        if not text or not believable_date(text):
            continue
        if found := _YEAR_FIRST.match(text):
            year, month, day = map(int, found.groups())
        elif found := _DAY_FIRST.match(text):
            month, day, year = map(int, found.groups())
            year += 0 if year >= _CENTURY else 1900 + (_CENTURY if year < _TURN else 0)
        else:
            continue
        try:
            return datetime.date(year, month, day)
        except ValueError:
            continue
    return None


def forecast(
    today: datetime.date,
    *,
    installed: datetime.date | None,
    life_months: int = LIFE_MONTHS,
    past: Sequence[Past] = (),
    estimates: Sequence[Point] = (),
    need_seconds: float | None = None,
) -> Forecast:
    """Return when the battery has to be replaced.

    `need_seconds` is the capacity below which the shutdown no longer fits; without it only age
    counts. `estimates` (day, seconds) are of tests that were ended early, and count only where too
    little was measured. A date of installation that lies ahead is none.
    """
    if installed is not None and installed > today:
        installed = None
    by_age = None if installed is None else _months_later(installed, life_months)
    measured, how = _alike(past), "measured"
    if len(measured) < FIT_POINTS and len(estimates) >= FIT_POINTS:
        measured, how = list(estimates), "estimated"
    by_capacity = None if need_seconds is None else _falls_below(need_seconds, measured)
    dates = [one for one in (by_age, by_capacity) if one is not None]
    if not dates:
        return Forecast(None, "neither its age nor the trend of its capacity is known")
    by = min(dates)
    if by == by_capacity:
        why = f"its {how} capacity falls below the {need_seconds:.0f} s that are needed"
    else:
        why = f"it was installed on {installed} and is counted on for {life_months} months"
    return Forecast(by, why, by_age, by_capacity)


def _falls_below(need: float, points: Sequence[Point]) -> datetime.date | None:
    """Return when a line through the capacities falls below the need."""
    if not points:
        return None
    begin, (last, newest) = points[0][0], points[-1]
    if newest < need:
        return last
    if len(points) < FIT_POINTS or (last - begin).days < FIT_DAYS:
        return None
    days = [float((on - begin).days) for on, _ in points]
    day = sum(days) / len(days)
    height = sum(seconds for _, seconds in points) / len(points)
    spread = sum((one - day) ** 2 for one in days)
    rise = sum((x - day) * (y - height) for x, (_, y) in zip(days, points, strict=True))
    if rise >= 0:
        return None
    at = day + (need - height) * spread / rise
    # Of points that waver, the line may lie below the need before the newest one, which does not.
    return begin + datetime.timedelta(days=int(min(max(at, days[-1]), FARTHEST_DAYS)))


def _alike(past: Sequence[Past]) -> list[Point]:
    """Return the capacities at about the newest load; without a load, those without one."""
    points = [one for one in past if one.capacity_seconds is not None]
    if not points:
        return []
    load = points[-1].load_percent
    return [
        (one.on, float(one.capacity_seconds or 0))
        for one in points
        if (load is None and one.load_percent is None)
        or (
            load is not None
            and one.load_percent is not None
            and abs(one.load_percent - load) <= LOAD_SHARE * load
        )
    ]


def _months_later(day: datetime.date, months: int) -> datetime.date:
    month = day.month - 1 + months
    first = datetime.date(day.year + month // 12, month % 12 + 1, 1)
    return first + datetime.timedelta(days=min(day.day, 28) - 1)
