"""What a discharge says of a UPS: readings over time become the record of a measurement.

Pure: no clock, no host. Nothing is extrapolated: the capacity is a time that was seen, and `until`
says what ended it.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.measurement import PULLS, Measurement, Moved, Point
from releve.power.readings import OWN_LOW

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from releve.power.measurement import Cut, How, OnLineDischarge, Until
    from releve.power.readings import Readings

HELD_SECONDS = 5.0  # a "battery low" that is shorter is a flash and ends nothing
FULL_PERCENT = 99.0
MOST_POINTS = 120  # of a curve
MOVED_SHARE = 0.005  # of the first value; less is noise
# What drivers say while the battery is drained: in a cut, and in a test with the mains present.
CUT_WORDS = frozenset({"OB", "DISCHRG"})
TEST_WORDS = frozenset({"OB", "DISCHRG", "CAL", "TEST"})
CUT_COMMANDS = frozenset({"shutdown.return", "shutdown.reboot", "shutdown.stayoff"})


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a UPS: seconds since its mains went, or since the test was asked for.

    `status` is None when upsd had no fresh data; a value that is missing or absurd is None.
    """

    seconds: float
    status: frozenset[str] | None
    charge: float | None = None
    voltage: float | None = None
    runtime: float | None = None
    load: float | None = None

    def says(self, *words: str) -> bool:
        """Whether the status was known and holds all of these words."""
        return self.status is not None and set(words) <= self.status


@dataclass(frozen=True, slots=True)
class Discharge:
    """The part of a series in which the battery was drained, and how it ended."""

    readings: tuple[Reading, ...]
    until: Until | None
    seconds: float | None


def own_status(now: Readings, variables: Mapping[str, str]) -> frozenset[str]:
    """Return the words that are the UPS's own: an LB by thresholds of ours ends no battery."""
    return now.status - {"LB"} if OWN_LOW in variables else now.status


def record_of(
    readings: Sequence[Reading],
    *,
    ups: str,
    how: How,
    on: datetime.date,
    commands: Collection[str] = (),
    stopped: bool = False,
    output_off: bool = False,
) -> Measurement:
    """Return the record of one measurement.

    `readings` may begin before second 0; `commands` are those that it offers, none: not known.
    `stopped`: the test was ended before its time, or the
    mains were given back; `output_off`: the series ends because the output went off.
    """
    drained = discharge_of(readings, how, stopped=stopped, output_off=output_off)
    before = [one for one in readings if one.seconds < 0 and one.status is not None]
    seen = next((one.seconds for one in readings if one.seconds >= 0 and one.says("OB")), None)
    loads = [one.load for one in drained.readings if one.load is not None and one.load > 0]
    whole = how != "quick" and drained.seconds and _was_full(before or drained.readings[:1])
    return Measurement(
        ups=ups,
        on=on,
        how=how,
        capacity_seconds=int(drained.seconds or 0) or None if whole else None,
        load_percent=round(statistics.median(loads), 1) if loads else None,
        curve=thinned(drained.readings),
        ob_seen_seconds=None if seen is None else round(seen, 1),
        moved=moved_in(drained.readings),
        lb_seen=drained.until == "low-battery",
        ol_discharge=_meaning_of_ol_discharge(readings, how),
        cut=_cut(commands),
        until=drained.until,
    )


def discharge_of(
    readings: Sequence[Reading], how: How, *, stopped: bool = False, output_off: bool = False
) -> Discharge:
    """Return the discharge of a series: from second 0 (a cut) or its first sign (a test)."""
    words = draining_words(readings, how)
    after = [one for one in readings if one.seconds >= 0 and one.status is not None]
    # Once the site goes down its load falls, and the rest says nothing of what it can carry.
    down = next((place for place, one in enumerate(after) if one.says("FSD")), len(after))
    after = after[: down + 1]
    begin = next((place for place, one in enumerate(after) if words & (one.status or set())), None)
    if begin is None:
        return Discharge((), None, None)
    # A cut begins when the plug is out, not when the UPS says so.
    start = 0.0 if how in PULLS else after[begin].seconds
    part = list(itertools.takewhile(lambda one: words & (one.status or set()), after[begin:]))
    ended = begin + len(part) < len(after)
    low = _held_low(part, ended=ended)
    if low is not None:
        # The last look that did not say so yet: what was certainly there.
        end = part[max(low - 1, 0)]
        return Discharge(tuple(part[: low + 1]), "low-battery", end.seconds - start)
    until: Until = "test-end"
    if output_off and not ended:
        until = "output-off"
    elif how in PULLS or stopped or not ended:
        until = "stopped"
    return Discharge(tuple(part), until, part[-1].seconds - start)


def draining_words(readings: Iterable[Reading], how: How) -> frozenset[str]:
    """Return the words that mean "the battery is drained" here.

    Some UPSes say DISCHRG on mains, all the time: a word that stood there before means nothing.
    """
    before = [one.status for one in readings if one.seconds < 0 and one.status is not None]
    return (CUT_WORDS if how in PULLS else TEST_WORDS) - frozenset[str]().union(*before)


def moved_in(readings: Sequence[Reading]) -> Moved:
    """Return which values fell during a discharge; one that stands still or rises did not move."""
    return Moved(
        charge=_fell(readings, lambda one: one.charge),
        runtime=_fell(readings, lambda one: one.runtime),
        voltage=_fell(readings, lambda one: one.voltage),
    )


def thinned(readings: Sequence[Reading]) -> tuple[Point, ...]:
    """Return at most MOST_POINTS points, evenly in time, with the first and the last."""
    step = -(-len(readings) // (MOST_POINTS - 1)) or 1
    points: list[Point] = []
    for one in [*readings[::step], *readings[-1:]]:
        point = Point(round(one.seconds, 1), one.charge, one.voltage, one.runtime)
        if not points or point.seconds > points[-1].seconds:
            points.append(point)
    return tuple(points)


def _was_full(readings: Sequence[Reading]) -> bool:
    """Tell whether the battery was full; a UPS without a charge is taken at its word "OL"."""
    charges = [one.charge for one in readings if one.charge is not None]
    return not charges or charges[-1] >= FULL_PERCENT


def _held_low(part: Sequence[Reading], *, ended: bool) -> int | None:
    """Return the place of the first LB that held: for HELD_SECONDS, or to the end of the looks."""
    begin: int | None = None
    for place, one in enumerate(part):
        if "LB" not in (one.status or ()):
            begin = None
        else:
            begin = place if begin is None else begin
            if one.seconds - part[begin].seconds >= HELD_SECONDS:
                return begin
    # LB in the very last looks: the host stops at that, so nothing more may follow.
    return None if ended else begin


def _fell(readings: Sequence[Reading], value: Callable[[Reading], float | None]) -> bool:
    known = [one for one in map(value, readings) if one is not None]
    if len(known) < 2:  # noqa: PLR2004  # one value cannot move
        return False
    some = min(3, len(known) // 2)
    first, last = statistics.median(known[:some]), statistics.median(known[-some:])
    return last < first - MOVED_SHARE * abs(first)


def _meaning_of_ol_discharge(readings: Sequence[Reading], how: How) -> OnLineDischarge | None:
    """Say what `OL DISCHRG` means here; both, or seen in a test alone, is not known."""
    if how not in PULLS:
        return None
    on_mains = any(one.says("OL", "DISCHRG") for one in readings if one.seconds < 0)
    away = discharge_of(readings, how).readings
    on_battery = any(one.says("OL", "DISCHRG") for one in away)
    if on_mains:
        return "mains" if any(one.says("OB") for one in away) else None
    return "battery" if on_battery else None


def _cut(commands: Collection[str]) -> Cut | None:
    # Of its own: each driver of NUT 2.8.1 has driver.killpower, whether or not it can cut.
    own = {one for one in commands if not one.startswith("driver.")}
    if not own:  # some drivers offer none and cut all the same, when the late hook calls them
        return None
    offered = CUT_COMMANDS & own or "load.off.delay" in own
    return "offered" if offered else "none"
