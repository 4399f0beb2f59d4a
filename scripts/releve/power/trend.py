"""What only time tells of a UPS: how long on battery, and which values stand still or rise.

A state is carried from look to look (`live.py` keeps it on disk). A value that cannot be followed
is none; a lower one is always believed. Pure; standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from releve.power.ladder import Known, Moment, Site, charge_counts, excuse, on_battery
from releve.power.readings import NO_CHARGE, SUSPECT_MINUTES

if TYPE_CHECKING:
    from releve.power.instant import Instant
    from releve.power.readings import Readings

FROZEN = 60.0  # seconds a runtime may stand still on battery, and its grain on top
RISES = 1.1  # times the lowest at this load
STEADY_LOAD = 1.1
DISCHARGE_SHOWS = 60.0  # seconds after which charge or voltage tell whether a battery drains
CHARGE_FALLS = 2.0  # percentage points
VOLTAGE_FALLS = 0.98  # times the first
EMPTY_CHARGE, EMPTY_VOLTAGE = 20.0, 0.92  # agree with a runtime that fell to nothing
RECHARGE = 8 * 3600.0  # seconds from empty to full; makers say 3 to 8 hours
GAP = 60.0  # of a longer silence before an outage only this much is counted as battery
LOOK = 10.0  # seconds; looks that lie further apart were not missed by the UPS
LOADS, LOAD_EVERY = 60, 60.0  # an hour of loads
VOLTAGES = 3
ALIVE_VOLTS, DEAD_VOLTS, BELOW_TRANSFER = 80.0, 40.0, 0.9
BLIND = frozenset({"ST_OB_BLIND"})
NONE_ON_LINE = ("RT_TINY", "CH_ZERO_ON_LINE")  # values that are none with the mains present


@dataclass(frozen=True, slots=True)
class Mark:
    """A value that was seen, and how long on battery then."""

    at: float
    value: float
    load: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What one look leaves for the next; seconds, percent, volts.

    `lowest`: the lowest runtime at this load; `lowest_charge` likewise. `frozen`: the runtime has
    stood still since. `distrusted`: values that are none until the next outage. `none_on_line`:
    warnings of values that were none when the mains went. `drain`: since when `OL DISCHRG` has
    been said, and charge and voltage then.
    """

    wall: float | None = None
    up: float = 0
    boot: str = ""
    drained: bool = False
    on_battery: float = 0
    spent: float = 0
    lb_held: float | None = None
    input_dead_held: float | None = None
    input_was_alive: bool = False
    blind_on_line: bool = False
    silent: float = 0
    charge_at_cut: float | None = None
    voltage_at_cut: float | None = None
    line_charge: float | None = None
    line_voltage: float | None = None
    lowest: Mark | None = None
    lowest_charge: Mark | None = None
    counts_seconds: bool = False
    frozen: bool = False
    distrusted: tuple[str, ...] = ()
    none_on_line: tuple[str, ...] = ()
    drain: tuple[float, float | None, float | None] | None = None
    voltages: tuple[float, ...] = ()
    loads: tuple[float, ...] = ()
    load_age: float = math.inf


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look shows in the light of those before it.

    `readings` without the values that are not believed any more, None when nothing usable was
    heard; `known` with what this outage taught; `notes`: why a value was dropped, for the log.
    """

    readings: Readings | None
    known: Known
    moment: Moment
    notes: tuple[str, ...] = field(default=())


def advance(  # noqa: PLR0917  # the state, the look, and what both are held against
    state: State,
    now: Instant,
    readings: Readings | None,
    site: Site,
    known: Known,
    excused: frozenset[str] = frozenset(),
) -> tuple[State, Seen]:
    """Return the state after a look, and what the look shows; `readings` None: nothing heard.

    `excused`: warnings that are no fault at this moment, as the FSD of a client of ours.
    """
    unheard = readings is None or bool(readings.refusals)
    if unheard and not is_of(state, now):
        # This host has power again, and what its UPS said before the boot says nothing of now: to
        # go on counting would stop the site at each boot. The first look that is heard counts on.
        return state, Seen(readings, known, Moment())
    passed = _passed(state, now)
    state = dataclasses.replace(state, wall=now.wall, up=now.up, boot=now.boot)
    if readings is not None:
        readings = excuse(readings, excused | (BLIND if state.blind_on_line else frozenset()))
    if readings is None or readings.refusals:
        return _unheard(state, passed, readings, known)
    state, known = _evidence(state, passed, readings, known)
    moment = Moment(input_dead_held=state.input_dead_held or 0)
    if not on_battery(readings, site, known, moment):
        state = _on_line(state, passed, readings, known)
        return state, Seen(readings, known, dataclasses.replace(moment, spent=state.spent))
    readings = _none_still(state, readings)
    state = _drain(state, passed, readings, known)
    state, believed, notes = _believe(state, readings)
    return state, Seen(believed, known, _moment(state, readings), notes)


def is_of(state: State, now: Instant) -> bool:
    """Whether a state tells of this boot: one of an earlier boot knows nothing of the mains now."""
    return state.wall is None or state.boot == now.boot


def _passed(state: State, now: Instant) -> float:
    if state.wall is None:
        return 0.0
    if state.boot == now.boot:
        return max(0.0, now.up - state.up)
    return max(0.0, now.wall - state.wall)


def _unheard(
    state: State, passed: float, readings: Readings | None, known: Known
) -> tuple[State, Seen]:
    """Let time pass while nothing usable is heard; the last that was known holds."""
    drained = state.drained or (readings is not None and readings.mains == "off")
    if drained:
        state = _spend(state, passed if state.drained else min(passed, GAP))
    # A long sleep of ours before the first such look is no silence of the UPS.
    silent = state.silent + passed if state.silent else min(passed, LOOK)
    state = dataclasses.replace(state, drained=drained, silent=silent)
    # A low battery keeps the time it had been held for: silence neither proves nor clears it.
    return state, Seen(readings, known, _moment(state, readings))


def _moment(state: State, readings: Readings | None) -> Moment:
    held = state.lb_held if readings is not None and readings.low_battery else None
    return Moment(
        on_battery=state.on_battery,
        spent=state.spent,
        lb_held=held or 0,
        input_dead_held=state.input_dead_held or 0,
        charge_at_cut=state.charge_at_cut,
        voltages=state.voltages,
        silent=state.silent,
        on_battery_before=state.drained,
    )


def _evidence(state: State, passed: float, readings: Readings, known: Known) -> tuple[State, Known]:
    """Weigh what speaks against a status that says on line."""
    volts, low = readings.input_voltage, readings.transfer_low
    alive = readings.input_alive is True or (volts is not None and volts >= (low or ALIVE_VOLTS))
    dead = volts is not None and (
        volts < DEAD_VOLTS or (low is not None and volts < BELOW_TRANSFER * low)
    )
    # An input voltage that never was one is no evidence: many devices always say 0.
    held = _held(state.input_dead_held, passed, dead and state.input_was_alive)
    state = dataclasses.replace(
        state,
        silent=0,
        input_dead_held=held,
        input_was_alive=state.input_was_alive or (alive and readings.mains == "on"),
    )
    if readings.mains != "on" or "DISCHRG" not in readings.status:
        return dataclasses.replace(state, drain=None), known
    since, charge, voltage = state.drain or (-passed, readings.charge, readings.voltage)
    since += passed
    state = dataclasses.replace(state, drain=(since, charge, voltage))
    if known.ol_discharge is None and volts is None and since >= DISCHARGE_SHOWS:
        falls = _fell(charge, readings.charge, voltage, readings.voltage)
        if falls or state.drained:
            known = dataclasses.replace(known, ol_discharge="battery")
    return state, known


def _held(before: float | None, passed: float, now: bool) -> float | None:
    """Return for how long something has been so: None not at all, 0 since this look."""
    if not now:
        return None
    return 0.0 if before is None else before + passed


def _fell(
    charge: float | None, charge_now: float | None, volts: float | None, volts_now: float | None
) -> bool:
    if charge is not None and charge_now is not None and charge - charge_now >= CHARGE_FALLS:
        return True
    return volts is not None and volts_now is not None and volts_now <= volts * VOLTAGE_FALLS


def _on_line(state: State, passed: float, readings: Readings, known: Known) -> State:
    """Take up what is to be known at the next cut; the battery fills slowly."""
    filled = passed * min(1.0, (known.capacity_seconds or RECHARGE) / RECHARGE)
    spent = 0.0 if _full(readings, known) else max(0.0, state.spent - filled)
    values = (readings.charge, readings.runtime, readings.voltage, readings.input_voltage)
    return dataclasses.replace(
        state,
        drained=False,
        on_battery=0,
        spent=spent,
        lb_held=None,
        blind_on_line=all(one is None for one in values),
        line_charge=readings.charge if charge_counts(readings, known) else None,
        line_voltage=readings.voltage,
        charge_at_cut=None,
        lowest=None,
        lowest_charge=None,
        frozen=False,
        distrusted=(),
        none_on_line=tuple(one for one in readings.warnings if one in NONE_ON_LINE),
        voltages=(),
        **_loads(state, passed, readings),
    )


def _none_still(state: State, readings: Readings) -> Readings:
    """Return the readings without what was no value on line, and is no more than that now.

    A count of minutes, or a 0 that is always said, would stop the site at each blip.
    """
    tiny = readings.runtime is not None and readings.runtime <= SUSPECT_MINUTES
    if tiny and "RT_TINY" in state.none_on_line:
        readings = dataclasses.replace(readings, runtime=None, grain=0)
    empty = readings.charge is not None and readings.charge <= NO_CHARGE
    if empty and "CH_ZERO_ON_LINE" in state.none_on_line:
        readings = dataclasses.replace(readings, charge=None)
    return readings


def _full(readings: Readings, known: Known) -> bool:
    return known.saw_move("charge") and readings.charge is not None and readings.charge >= 99  # noqa: PLR2004  # percent


def _loads(state: State, passed: float, readings: Readings) -> dict[str, Any]:
    age = state.load_age + passed
    if readings.load is None or age < LOAD_EVERY:
        return {"load_age": age}
    return {"loads": (*state.loads, readings.load)[-LOADS:], "load_age": 0.0}


def _spend(state: State, passed: float) -> State:
    return dataclasses.replace(
        state, on_battery=state.on_battery + passed, spent=state.spent + passed
    )


def _drain(state: State, passed: float, readings: Readings, known: Known) -> State:
    """Count the time on battery; at its begin keep what the battery was then."""
    if not state.drained:
        # The cut lies between two looks. What OL DISCHRG took to be understood counts as well.
        taken = state.drain[0] if state.drain and readings.mains == "on" else min(passed, GAP)
        charge = state.line_charge
        if charge is None and charge_counts(readings, known):
            charge = readings.charge
        state = dataclasses.replace(
            _spend(state, taken),
            drained=True,
            charge_at_cut=charge,
            voltage_at_cut=state.line_voltage or readings.voltage,
        )
    else:
        state = _spend(state, passed)
    volts = () if readings.voltage is None else (readings.voltage,)
    return dataclasses.replace(
        state,
        lb_held=_held(state.lb_held, passed, readings.low_battery),
        voltages=(*state.voltages, *volts)[-VOLTAGES:],
        **_loads(state, passed, readings),
    )


def _believe(state: State, readings: Readings) -> tuple[State, Readings, tuple[str, ...]]:
    """Drop the values that this outage has shown to be none, and take the load of the hour."""
    runtime, grain, charge = readings.runtime, readings.grain, readings.charge
    notes = []
    if runtime is None and "RT_ZERO" in readings.warnings and _empty(state, readings):
        runtime = 0.0
    if runtime is not None:
        # A device that once counted a second does not count whole minutes.
        seconds = state.counts_seconds or (runtime > 0 and grain == 0)
        grain = 0 if seconds else grain
        state, why = _follow_runtime(dataclasses.replace(state, counts_seconds=seconds), readings)
        notes += [why] if why else []
    if charge is not None:
        state, why = _follow_charge(state, charge, readings.load)
        notes += [why] if why else []
    load = readings.load
    if load is not None and state.loads:
        load = max(load, median(state.loads))
    believed = dataclasses.replace(
        readings,
        runtime=None if state.frozen or "runtime" in state.distrusted else runtime,
        grain=grain,
        charge=None if "charge" in state.distrusted else charge,
        load=load,
    )
    return state, believed, tuple(notes)


def _empty(state: State, readings: Readings) -> bool:
    """Whether a runtime of 0 is one: it fell to it, and charge or voltage agree."""
    if state.lowest is None:
        return False
    if readings.charge is not None and readings.charge <= EMPTY_CHARGE:
        return True
    volts, before = readings.voltage, state.voltage_at_cut
    return volts is not None and before is not None and volts <= EMPTY_VOLTAGE * before


def _follow_runtime(state: State, readings: Readings) -> tuple[State, str]:
    """Return the state after a runtime, and why it is not believed any more.

    One that rose is none until the next outage. One that stands still is none until it falls: a
    lower value is always believed.
    """
    runtime, lowest = readings.runtime, state.lowest
    if runtime is None:
        return state, ""
    mark = Mark(state.on_battery, runtime, readings.load)
    if lowest is None or runtime < lowest.value or not _steady(lowest.load, readings.load):
        return dataclasses.replace(state, lowest=mark, frozen=False), ""
    if runtime > lowest.value * RISES:
        why = f"runtime rose from {lowest.value:g} to {runtime:g} s on battery: no value"
        return _distrust(state, "runtime", why)
    still = state.on_battery - lowest.at
    if still < FROZEN + readings.grain or state.frozen:
        return state, ""
    why = f"runtime has not fallen for {still:.0f} s on battery: no value until it does"
    return dataclasses.replace(state, frozen=True), why


def _follow_charge(state: State, charge: float, load: float | None) -> tuple[State, str]:
    """Return the state after a charge: one that rises on battery is none.

    One that stands still is kept: it could only stop the site too early, and the time cap lies
    under it.
    """
    lowest = state.lowest_charge
    if lowest is None or charge < lowest.value:
        mark = Mark(state.on_battery, charge, load)
        return dataclasses.replace(state, lowest_charge=mark), ""
    if charge <= max(lowest.value * RISES, lowest.value + CHARGE_FALLS):
        return state, ""
    why = f"charge rose from {lowest.value:g} to {charge:g} % on battery: no value"
    return _distrust(state, "charge", why)


def _distrust(state: State, name: str, why: str) -> tuple[State, str]:
    if name in state.distrusted:
        return state, ""
    return dataclasses.replace(state, distrusted=(*state.distrusted, name)), why


def _steady(before: float | None, now: float | None) -> bool:
    """Whether the load did not fall so much that a runtime may rise."""
    return before is None or now is None or now * STEADY_LOAD >= before
