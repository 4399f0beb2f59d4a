"""What must hold for every UPS, whatever it publishes."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from releve.power.dump import parse
from releve.power.ladder import (
    Known,
    Moment,
    Site,
    as_on_battery,
    decide,
    decide_silent,
    rung_of,
    warnings_of,
)
from releve.power.measurement import Moved, Point
from releve.power.readings import Readings, read

NAMES = (
    "ups.status", "battery.charge", "battery.runtime", "battery.voltage", "ups.load",
    "battery.voltage.nominal", "input.voltage", "input.voltage.nominal", "input.transfer.low",
    "battery.charge.low", "battery.runtime.low", "battery.date", "battery.mfr.date", "ups.power",
    "ups.power.nominal", "ups.delay.shutdown", "ups.delay.start", "ups.timer.shutdown",
    "driver.name", "driver.parameter.runtimecal", "device.type", "ups.type",
)  # fmt: skip
TOKENS = ("OL", "OB", "LB", "FSD", "CAL", "DISCHRG", "TRIM", "OFF", "RB", "WAIT", "XYZZY")
STATUSES = st.lists(st.sampled_from(TOKENS), max_size=5).map(" ".join)
ODD = st.sampled_from(
    ["", "N/A", "36:00", "1,5", "65535", "3932100", "-1", "0", "00687", "1e308", "1e999", "nan",
     "10000000.", "2.3e254", "95 %", "2001/09/25", "CPS", "blazer_usb", "pdu"]
)  # fmt: skip
VALUES = ODD | st.text(max_size=12) | st.floats().map(str) | st.integers().map(str)
ANYTHING = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES))
RAW = ANYTHING | st.builds(lambda raw, status: {**raw, "ups.status": status}, ANYTHING, STATUSES)
SECONDS = st.floats(0, 1e6)
PERCENT = st.none() | st.floats(0, 100)
SITES = st.builds(
    Site, need=st.floats(1, 5000), derate=st.floats(0.1, 1), lb_debounce=st.floats(0, 60)
)
POINTS = st.lists(
    st.tuples(st.floats(1, 600), PERCENT, st.none() | st.floats(1, 60), st.none() | SECONDS),
    max_size=8,
)


@st.composite
def knowns(draw: st.DrawFn) -> Known:
    """Draw a measurement: its points lie one after the other, and none need fall."""
    at, curve = 0.0, []
    for step, charge, voltage, runtime in draw(POINTS):
        curve.append(Point(at, charge, voltage, runtime))
        at += step
    return Known(
        capacity_seconds=draw(st.none() | st.floats(1, 20000)),
        load_percent=draw(st.none() | st.floats(1, 100)),
        curve=tuple(curve),
        moved=draw(st.none() | st.builds(Moved, st.booleans(), st.booleans(), st.booleans())),
        ol_discharge=draw(st.sampled_from([None, "mains", "battery"])),
    )


MOMENTS = st.builds(
    Moment,
    on_battery=SECONDS,
    spent=SECONDS,
    lb_held=SECONDS,
    input_dead_held=SECONDS,
    charge_at_cut=PERCENT,
    voltages=st.lists(st.floats(0, 60), max_size=4).map(tuple),
    excused=st.sampled_from([frozenset(), frozenset({"ST_FSD"}), frozenset({"ST_OB_BLIND"})]),
    silent=SECONDS,
    on_battery_before=st.booleans(),
)
ON_BATTERY = st.builds(
    Readings,
    status=st.sets(st.sampled_from(["ALARM", "RB", "DISCHRG", "OFF"])).map(
        lambda more: frozenset({"OB"} | more)
    ),
    mains=st.just("off"),
    runtime=st.none() | st.floats(1, 1e5),
    grain=st.sampled_from([0, 60]),
    charge=PERCENT,
    load=st.none() | st.floats(1, 150),
    voltage=st.none() | st.floats(2, 60),
)


@given(st.binary() | st.text(), RAW, SITES, knowns(), MOMENTS)
def test_nothing_that_is_published_raises(
    noise: bytes | str, raw: dict[str, str], site: Site, known: Known, moment: Moment
) -> None:
    for variables in (raw, parse(noise).variables):
        readings = read(variables)
        warnings_of(readings, known)
        for one in (readings, as_on_battery(readings)):
            assert decide(one, site, known, moment).decision in ("none", "ride", "stop", "refuse")
    assert decide_silent(site, known, moment).decision in ("none", "ride", "stop")


@given(RAW)
def test_what_is_printed_is_what_is_read(raw: dict[str, str]) -> None:
    raw = {
        name: value.strip()
        for name, value in raw.items()
        if value.isprintable() and "#" not in value
    }
    text = "".join(f"{name}: {value}\n" for name, value in raw.items())

    assert parse(text).variables == raw
    assert read(parse(text).variables) == read(raw)


@given(ON_BATTERY, st.floats(0, 1), SITES, knowns(), MOMENTS)
def test_a_lower_runtime_never_turns_a_stop_into_a_ride(
    readings: Readings, share: float, site: Site, known: Known, moment: Moment
) -> None:
    if readings.runtime is None:
        return
    lower = dataclasses.replace(readings, runtime=max(1.0, readings.runtime * share))
    before = decide(readings, site, known, moment).decision

    if before == "stop":
        assert decide(lower, site, known, moment).decision == "stop"


@given(ON_BATTERY, st.floats(0, 1), SITES, knowns(), MOMENTS)
def test_a_lower_charge_never_turns_a_stop_into_a_ride(
    readings: Readings, share: float, site: Site, known: Known, moment: Moment
) -> None:
    if readings.charge is None:
        return
    lower = dataclasses.replace(readings, charge=readings.charge * share)

    if decide(readings, site, known, moment).decision == "stop":
        assert decide(lower, site, known, moment).decision == "stop"


@given(ON_BATTERY, SITES, knowns(), MOMENTS, SECONDS)
def test_more_time_on_battery_never_turns_a_stop_into_a_ride(
    readings: Readings, site: Site, known: Known, moment: Moment, more: float
) -> None:
    later = dataclasses.replace(
        moment, on_battery=moment.on_battery + more, spent=moment.spent + more
    )

    if decide(readings, site, known, moment).decision == "stop":
        assert decide(readings, site, known, later).decision == "stop"


@given(ON_BATTERY, SITES, knowns(), SECONDS)
def test_unknown_never_stops_by_itself(
    readings: Readings, site: Site, known: Known, seconds: float
) -> None:
    """Only the clock and a low battery are left when no value can be believed."""
    blind = dataclasses.replace(readings, runtime=None, charge=None, load=None, voltage=None)
    moment = Moment(on_battery=seconds, spent=seconds)
    unmeasured = dataclasses.replace(known, capacity_seconds=None)

    assert decide(blind, site, unmeasured, moment).decision == "ride"
    if known.capacity_seconds is not None:
        within = seconds <= known.capacity_seconds * site.derate - site.need
        assert decide(blind, site, known, moment).decision == ("ride" if within else "stop")


@given(RAW, SITES, knowns(), MOMENTS)
def test_a_held_low_battery_always_stops_on_battery(
    raw: dict[str, str], site: Site, known: Known, moment: Moment
) -> None:
    raw = {**raw, "ups.status": "OB LB"}
    held = dataclasses.replace(moment, lb_held=site.lb_debounce)

    assert decide(read(raw), site, known, held).decision == "stop"


@given(RAW, SITES, knowns(), MOMENTS)
def test_with_the_mains_proven_nothing_ever_stops(
    raw: dict[str, str], site: Site, known: Known, moment: Moment
) -> None:
    raw = {**raw, "ups.status": "OL LB RB", "device.type": "ups", "ups.type": "online"}
    alive = dataclasses.replace(moment, input_dead_held=0)

    assert decide(read(raw), site, known, alive).decision == "none"


@given(RAW)
def test_what_is_refused_stands_on_no_rung(raw: dict[str, str]) -> None:
    readings = read(raw)

    assert (rung_of(readings) == "refuse") == bool(readings.refusals)
    assert readings.mains != "unknown" or readings.refusals
