"""Which of a UPS's values decides when the site stops: the ladder; standard library only.

1 runtime, 2 estimate (charge and load), 3 charge, 4 voltage, 5 time on battery. A rung is armed
while its value can be believed, the earliest of the armed ones wins, and three things stand under
every device: a low battery that was held (LB), the time cap of the measured capacity, and data
that stayed away. One function for the gate, the nightly check and the policy.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.measurement import Measurement, Moved, OnLineDischarge, Point
    from releve.power.readings import Readings

Rung = Literal["runtime", "estimate", "charge", "voltage", "time", "refuse"]
Decision = Literal["none", "ride", "stop", "refuse"]

DERATE = 0.8  # a battery loses about a fifth of its capacity before it is called worn out
VOLTAGE_POLLS = 3  # a load that starts pulls the voltage down for one or two
# Twice the load lasts about a third of the time (2 ** 1.6): the plates give less at a high
# current, and the inverter loses more.
LOAD_EXPONENT = 1.6


@dataclass(frozen=True, slots=True)
class Site:
    """What the site asks of the UPS; seconds.

    `need`: from the decision to the last halt, margin included. `derate`: the share of a measured
    capacity that is counted on. `calibration_hold`: how long LB must stand while the UPS
    calibrates with the mains present.
    """

    need: float
    derate: float = DERATE
    lb_debounce: float = 5
    input_debounce: float = 5
    comms_hold: float = 30
    calibration_hold: float = 30


@dataclass(frozen=True, slots=True)
class Known:
    """What was measured of this UPS, as far as the ladder needs it; None: never looked at."""

    capacity_seconds: float | None = None
    load_percent: float | None = None
    curve: tuple[Point, ...] = ()
    moved: Moved | None = None
    ol_discharge: OnLineDischarge | None = None

    @classmethod
    def of(cls, record: Measurement | None) -> Known:
        """Return what a record tells; a test too short to have a curve proves no value wrong."""
        if record is None:
            return cls()
        whole = record.capacity_seconds is not None and bool(record.curve)
        return cls(
            record.capacity_seconds,
            record.load_percent,
            record.curve if whole else (),
            record.moved if whole else None,
            record.ol_discharge,
        )

    def stood_still(self, name: str) -> bool:
        """Whether a value was watched during a discharge and did not move."""
        return self.moved is not None and not getattr(self.moved, name)

    def saw_move(self, name: str) -> bool:
        """Whether a value was seen to fall during a discharge."""
        return self.moved is not None and bool(getattr(self.moved, name))


@dataclass(frozen=True, slots=True)
class Moment:
    """What only time tells; seconds.

    `on_battery`: in this outage. `spent`: taken from the battery since it was last full. `lb_held`
    and `input_dead_held`: without a break until now. `charge_at_cut`: percent, where a charge
    counts. `voltages`: the last polls, newest last. `excused`: warnings that are no fault here (FSD
    of our own client; a device that never publishes a value). `on_battery_before`, when nothing was
    heard for `silent`: the last that was known.
    """

    on_battery: float = 0
    spent: float = 0
    lb_held: float = 0
    input_dead_held: float = 0
    charge_at_cut: float | None = None
    voltages: tuple[float, ...] = ()
    excused: frozenset[str] = frozenset()
    silent: float = 0
    on_battery_before: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """An armed rung or a floor: how far it is from stopping the site (seconds), and why."""

    name: str
    margin: float
    stops: bool
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is right now; `by` is the trigger that comes first, `triggers` all armed ones."""

    decision: Decision
    why: str
    by: str = ""
    triggers: tuple[Trigger, ...] = ()


def rung_of(readings: Readings, known: Known | None = None) -> Rung:
    """Return the rung that a UPS stands on: the first whose value can be believed."""
    known = known or Known()
    if readings.refusals:
        return "refuse"
    if readings.runtime is not None and not known.stood_still("runtime"):
        return "runtime"
    if readings.charge is not None and not known.stood_still("charge"):
        return "charge" if readings.load is None else "estimate"
    if readings.voltage is not None and not known.stood_still("voltage"):
        return "voltage"
    return "time"


def warnings_of(readings: Readings, known: Known | None = None) -> tuple[str, ...]:
    """Return all warnings, with the one that only the rung brings out: a charge that is a guess."""
    guessed = rung_of(readings, known) == "voltage" and readings.charge_guess is not None
    return (*readings.warnings, "CH_GUESSED") if guessed else readings.warnings


def excuse(readings: Readings, warnings: frozenset[str]) -> Readings:
    """Return the readings without warnings that are no fault of this device at this moment."""
    kept = tuple(one for one in readings.warnings if one not in warnings)
    return dataclasses.replace(readings, warnings=kept)


def as_on_battery(readings: Readings) -> Readings:
    """Return the same readings as they would be with the mains gone and nothing else changed."""
    if readings.mains != "on":
        return readings
    status = readings.status - {"OL"} | {"OB"}
    return dataclasses.replace(readings, mains="off", status=status, input_alive=None)


def on_battery(readings: Readings, site: Site, known: Known, moment: Moment) -> bool:
    """Return whether the battery is drained: the status says so, or better evidence does."""
    if readings.mains != "on":
        return readings.mains == "off"
    if moment.input_dead_held >= site.input_debounce > 0:
        return True
    discharging = "DISCHRG" in readings.status and not readings.input_alive
    return discharging and known.ol_discharge == "battery"


def decide(readings: Readings, site: Site, known: Known, moment: Moment) -> Verdict:
    """Return what is right at this moment; pure, and never raises."""
    readings = excuse(readings, moment.excused)
    drained = on_battery(readings, site, known, moment)
    floor = list(_low_battery(readings, site, moment)) if drained else []
    for trigger in floor:
        if trigger.stops:
            return Verdict("stop", trigger.why, trigger.name, (trigger,))
    if readings.refusals:
        why = f"its state of the mains cannot be used: {', '.join(readings.refusals)}"
        return Verdict("refuse", why)
    if not drained:
        return Verdict("none", "the mains are there")
    triggers = (
        *floor,
        *_rungs(readings, site, known, moment),
        *_cap(readings.load, site, known, moment),
    )
    return _earliest(triggers, "on battery, and only a low battery would stop the site")


def decide_silent(site: Site, known: Known, moment: Moment) -> Verdict:
    """Return what is right while the UPS says nothing, or nothing that can be used."""
    if not moment.on_battery_before:
        return Verdict("none", "nothing is heard; the mains were there when last known")
    held = moment.silent >= site.comms_hold
    why = f"on battery when last known, and nothing heard for {moment.silent:.0f} s"
    comms = Trigger("comms", site.comms_hold - moment.silent, held, why)
    return _earliest((comms, *_cap(None, site, known, moment)), why)


def _earliest(triggers: tuple[Trigger, ...], otherwise: str) -> Verdict:
    if not triggers:
        return Verdict("ride", otherwise)
    first = min(triggers, key=lambda one: (not one.stops, one.margin))
    return Verdict("stop" if first.stops else "ride", first.why, first.name, triggers)


def _calibrating(readings: Readings) -> bool:
    """Whether the UPS drains its battery on purpose, with the mains present."""
    return "CAL" in readings.status and (readings.mains == "on" or readings.input_alive is True)


def _low_battery(readings: Readings, site: Site, moment: Moment) -> Iterator[Trigger]:
    if readings.low_battery:
        hold = site.calibration_hold if _calibrating(readings) else site.lb_debounce
        why = f"low battery, held for {moment.lb_held:.0f} of {hold:.0f} s"
        yield Trigger("lb", hold - moment.lb_held, moment.lb_held >= hold, why)


def _rungs(readings: Readings, site: Site, known: Known, moment: Moment) -> Iterator[Trigger]:
    """Yield the armed rungs 1 to 4; none of them counts while the UPS calibrates."""
    if _calibrating(readings):
        return
    rung = rung_of(readings, known)
    if rung == "runtime" and readings.runtime is not None:
        capacity = capacity_at(readings.load, known)
        seconds = readings.runtime if capacity is None else min(readings.runtime, capacity)
        yield _carries("runtime", seconds * site.derate - readings.grain, site)
    left = charge_left(readings.charge, readings.load, known)
    if left is not None and charge_counts(readings, known):
        yield _carries("charge" if readings.load is None else "estimate", left * site.derate, site)
    limit = voltage_limit(site, known)
    if limit is not None and readings.voltage is not None and not readings.voltage_per_cell:
        polls = moment.voltages[-VOLTAGE_POLLS:]
        below = len(polls) == VOLTAGE_POLLS and max(polls) < limit
        why = f"battery at {readings.voltage:g} V; the need begins at {limit:.2f} V"
        yield Trigger("voltage", -1 if below else math.inf, below, why)


def charge_counts(readings: Readings, known: Known) -> bool:
    """Whether the charge may stop the site.

    Beside a runtime that can be believed it counts once a discharge showed it moving: a value
    that nobody saw move does not overrule a better one. Without such a runtime it is the best
    there is, unless it was seen to stand still.
    """
    if rung_of(readings, known) in ("estimate", "charge"):
        return True
    return readings.charge is not None and known.saw_move("charge")


def _carries(name: str, seconds: float, site: Site) -> Trigger:
    why = f"{name} carries {seconds:.0f} s, the site needs {site.need:.0f} s"
    return Trigger(name, seconds - site.need, seconds < site.need, why)


def _cap(load: float | None, site: Site, known: Known, moment: Moment) -> Iterator[Trigger]:
    """Yield the time cap: it stands under every rung, and asks the UPS nothing but the load.

    A charge at the cut shortens it. Where that charge was seen to move it stands alone, since it
    knows what earlier outages took; else what they took is counted too.
    """
    capacity = capacity_at(load, known)
    if capacity is None:
        return
    at_cut = moment.charge_at_cut
    limits = []
    if at_cut is not None:
        share = min(1.0, max(0.0, at_cut / 100))
        limits.append((capacity * site.derate * share - site.need, moment.on_battery))
    if at_cut is None or not known.saw_move("charge"):
        limits.append((capacity * site.derate - site.need, max(moment.spent, moment.on_battery)))
    limit, used = min(limits, key=lambda one: one[0] - one[1])
    why = f"{used:.0f} s on battery; the measured capacity allows {max(limit, 0):.0f} s"
    yield Trigger("time", limit - used, used > limit, why)


def capacity_at(load: float | None, known: Known) -> float | None:
    """Return the measured capacity in seconds, less at a higher load than it was measured at.

    At a lower load, or an unknown one, it stays what was measured: never more than was seen.
    """
    if known.capacity_seconds is None or not known.load_percent or load is None:
        return known.capacity_seconds
    share = min(1.0, known.load_percent / load)
    return known.capacity_seconds * float(share**LOAD_EXPONENT)


def charge_left(charge: float | None, load: float | None, known: Known) -> float | None:
    """Return how many seconds a charge lasts: by the measured curve, else in proportion."""
    capacity = capacity_at(load, known)
    if charge is None or capacity is None or not known.capacity_seconds:
        return None
    gone = _seconds_at([(p.seconds, p.charge) for p in known.curve], charge, known)
    if gone is None:
        return capacity * charge / 100
    return max(0.0, known.capacity_seconds - gone) * (capacity / known.capacity_seconds)


def voltage_limit(site: Site, known: Known) -> float | None:
    """Return the voltage that the discharge showed when need / derate was left, or None."""
    if known.capacity_seconds is None or known.stood_still("voltage") or site.derate <= 0:
        return None
    at = known.capacity_seconds - site.need / site.derate
    curve = [(p.seconds, p.voltage) for p in known.curve if p.voltage is not None]
    before = [one for one in curve if one[0] <= at]
    after = [one for one in curve if one[0] > at]
    if not before or not after:
        return None
    (t0, v0), (t1, v1) = before[-1], after[0]
    return v0 + (v1 - v0) * (at - t0) / (t1 - t0)


def _seconds_at(
    curve: list[tuple[float, float | None]], value: float, known: Known
) -> float | None:
    """Return when a falling curve went below a value; None where it says nothing about it.

    Above its first point nothing had gone; below its last one everything has.
    """
    points = [(seconds, one) for seconds, one in curve if one is not None]
    if len(points) < 2 or points[0][1] <= points[-1][1]:  # noqa: PLR2004  # a line has two ends
        return None
    earlier: tuple[float, float] | None = None
    for seconds, one in points:
        if one < value:
            if earlier is None:
                return 0.0
            t0, v0 = earlier
            return t0 + (seconds - t0) * (v0 - value) / (v0 - one)
        earlier = (seconds, one)
    # On the last step, or below it: the end of the plateau counts, and below it the end itself.
    last, lowest = points[-1]
    return last if value == lowest else float(known.capacity_seconds or last)
