"""The earliest armed rung stops the site, and what is unknown never does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from releve.power.ladder import (
    Known,
    Moment,
    Site,
    Verdict,
    as_on_battery,
    capacity_at,
    charge_left,
    decide,
    decide_silent,
    rung_of,
    voltage_limit,
    warnings_of,
)
from releve.power.measurement import Moved, Point
from releve.power.readings import Readings

SITE = Site(need=600, derate=0.8)
MOVED = Moved(charge=True, runtime=True, voltage=True)
STILL = Moved()
CURVE = (
    Point(0, 100, 27.0, 1800), Point(600, 70, 25.0, 1200), Point(1200, 20, 23.0, 600),
    Point(1800, 5, 21.0, 10),
)  # fmt: skip
MEASURED = Known(capacity_seconds=1800, curve=CURVE, moved=MOVED)
UNMEASURED = Known()
ONLY_CAPACITY = Known(capacity_seconds=1800)


def ups(**values: Any) -> Readings:
    """Return readings on battery with a runtime, a charge, a load and a voltage, changed."""
    sane: dict[str, Any] = {
        "status": frozenset({"OB"}), "mains": "off", "runtime": 1700.5, "charge": 95.0,
        "load": 30.0, "voltage": 25.9,
    }  # fmt: skip
    return Readings(**{**sane, **values})


def verdict(readings: Readings, known: Known = MEASURED, **moment: Any) -> Verdict:
    return decide(readings, SITE, known, Moment(**moment))


@pytest.mark.parametrize(
    ("values", "rung"),
    [
        ({}, "runtime"),
        ({"runtime": None}, "estimate"),
        ({"runtime": None, "load": None}, "charge"),
        ({"runtime": None, "charge": None}, "voltage"),
        ({"runtime": None, "charge": None, "voltage": None}, "time"),
        ({"warnings": ("ST_OL_OB",)}, "refuse"),
    ],
)
def test_a_ups_stands_on_the_first_rung_it_can_be_believed_on(
    values: dict[str, Any], rung: str
) -> None:
    assert rung_of(ups(**values)) == rung


@pytest.mark.parametrize(
    ("moved", "rung"),
    [
        (MOVED, "runtime"),
        (Moved(charge=True, voltage=True), "estimate"),
        (Moved(voltage=True), "voltage"),
        (STILL, "time"),
    ],
)
def test_what_stood_still_in_a_discharge_is_not_believed(moved: Moved, rung: str) -> None:
    known = Known(capacity_seconds=1800, moved=moved)

    assert rung_of(ups(), known) == rung


def test_a_guessed_charge_is_named_where_it_would_have_been_used() -> None:
    assert warnings_of(ups(runtime=None, charge=None, charge_guess=90.0)) == ("CH_GUESSED",)
    assert warnings_of(ups(charge=None, charge_guess=90.0)) == ()


def test_with_the_mains_present_nothing_stops() -> None:
    low = ups(status=frozenset({"OL", "LB"}), mains="on", runtime=61.0, charge=2.0)

    assert verdict(low, lb_held=100).decision == "none"
    assert decide(as_on_battery(low), SITE, MEASURED, Moment()).decision == "stop"


@pytest.mark.parametrize(
    ("values", "decision", "by"),
    [
        ({"runtime": 751.0}, "ride", "runtime"),
        ({"runtime": 749.0}, "stop", "runtime"),
        ({"runtime": 780.0, "grain": 60}, "stop", "runtime"),  # 624 less one grain
        ({"runtime": 840.0, "grain": 60}, "ride", "runtime"),
    ],
)
def test_a_runtime_is_derated_clamped_and_its_grain_taken_off(
    values: dict[str, Any], decision: str, by: str
) -> None:
    found = verdict(ups(charge=None, **values), ONLY_CAPACITY)

    assert (found.decision, found.by) == (decision, by)


def test_a_runtime_is_never_more_than_the_measured_capacity() -> None:
    found = verdict(ups(charge=None, runtime=90000.0), ONLY_CAPACITY)

    assert [one.margin for one in found.triggers if one.name == "runtime"] == [1800 * 0.8 - 600]


def test_the_earliest_armed_rung_wins() -> None:
    assert verdict(ups(runtime=5000.0, charge=15.0)).by == "estimate"
    assert verdict(ups(runtime=700.0, charge=99.0)).by == "runtime"
    assert verdict(ups(runtime=5000.0, charge=99.0), on_battery=841, spent=841).by == "time"


def test_a_charge_nobody_saw_move_does_not_overrule_a_runtime() -> None:
    low = ups(runtime=5000.0, charge=15.0)

    assert verdict(low, ONLY_CAPACITY).decision == "ride"
    assert verdict(low, MEASURED).decision == "stop"
    assert verdict(dataclasses.replace(low, runtime=None), ONLY_CAPACITY).decision == "stop"


def test_a_charge_is_read_by_the_measured_curve() -> None:
    assert charge_left(70, None, MEASURED) == pytest.approx(1200)
    assert charge_left(45, None, MEASURED) == pytest.approx(900)
    assert charge_left(100, None, MEASURED) == pytest.approx(1800)
    assert charge_left(2, None, MEASURED) == 0
    assert charge_left(45, None, ONLY_CAPACITY) == pytest.approx(810)
    assert charge_left(45, None, UNMEASURED) is None


def test_a_higher_load_than_measured_takes_from_the_capacity_and_a_lower_adds_nothing() -> None:
    known = Known(capacity_seconds=1800, load_percent=30)

    assert capacity_at(60, known) == pytest.approx(1800 / 2**1.6)
    assert capacity_at(10, known) == 1800
    assert capacity_at(None, known) == 1800


def test_the_voltage_counts_after_three_polls_below_what_the_discharge_showed() -> None:
    known = dataclasses.replace(MEASURED, moved=Moved(voltage=True))
    limit = voltage_limit(SITE, known)
    assert limit == pytest.approx(23.5)  # at 1800 - 600 / 0.8 = 1050 s

    low = ups(voltage=23.4)
    assert verdict(low, known, voltages=(25, 23.4, 23.4)).decision == "ride"
    assert verdict(low, known, voltages=(25, 23.4, 23.3, 23.4)).by == "voltage"
    assert voltage_limit(SITE, ONLY_CAPACITY) is None


@pytest.mark.parametrize(
    ("at_cut", "moved", "spent", "last"),
    [
        (None, MOVED, 0, 840),
        (50.0, MOVED, 0, 120),
        (50.0, MOVED, 800, 120),  # it moves: it knows what earlier outages took
        (90.0, STILL, 0, 696),
        (90.0, STILL, 800, 40),  # nobody saw it move: both count
    ],
)
def test_the_time_cap_counts_from_the_charge_at_the_cut(
    at_cut: float | None, moved: Moved, spent: float, last: int
) -> None:
    known = Known(capacity_seconds=1800, moved=moved)
    blind = ups(runtime=None, charge=None, voltage=None)

    def decision(seconds: float) -> str:
        moment = {"on_battery": seconds, "spent": spent + seconds, "charge_at_cut": at_cut}
        return verdict(blind, known, **moment).decision

    assert (decision(last), decision(last + 1)) == ("ride", "stop")


def test_what_earlier_outages_took_counts_where_the_charge_does_not() -> None:
    blind = ups(runtime=None, charge=None, voltage=None)

    assert verdict(blind, ONLY_CAPACITY, on_battery=10, spent=900).by == "time"
    assert verdict(blind, ONLY_CAPACITY, on_battery=10, spent=900).decision == "stop"


def test_without_a_capacity_only_a_low_battery_stops() -> None:
    blind = ups(runtime=None)

    assert verdict(blind, UNMEASURED, on_battery=1e6).decision == "ride"
    low = dataclasses.replace(blind, status=frozenset({"OB", "LB"}))
    assert verdict(low, UNMEASURED, lb_held=4.9).decision == "ride"
    assert verdict(low, UNMEASURED, lb_held=5).decision == "stop"


def test_while_it_calibrates_only_a_long_low_battery_and_the_cap_count() -> None:
    calibrates = ups(
        status=frozenset({"OB", "CAL", "LB"}), runtime=61.0, charge=5.0, input_alive=True
    )

    assert verdict(calibrates, lb_held=29).decision == "ride"
    assert verdict(calibrates, lb_held=30).by == "lb"
    assert verdict(calibrates, on_battery=1000, spent=1000).by == "time"
    # The mains are gone as well: an ordinary outage.
    assert verdict(dataclasses.replace(calibrates, input_alive=False)).decision == "stop"


@pytest.mark.parametrize("token", ["OFF", "BYPASS", "OVER", "ALARM", "ECO", "HE", "RB", "XYZZY"])
def test_an_event_is_no_trigger(token: str) -> None:
    assert verdict(ups(status=frozenset({"OB", token}))).decision == "ride"
    assert verdict(ups(status=frozenset({"OL", token}), mains="on")).decision == "none"


def test_an_fsd_of_ours_is_no_fault_of_the_device() -> None:
    held = ups(status=frozenset({"FSD", "OL"}), mains="on", warnings=("ST_FSD",))

    assert verdict(held).decision == "refuse"
    assert verdict(held, excused=frozenset({"ST_FSD"})).decision == "none"


def test_an_excused_warning_leaves_the_rungs_armed() -> None:
    held = ups(status=frozenset({"FSD", "OB"}), runtime=61.0, warnings=("ST_FSD",))

    assert verdict(held, excused=frozenset({"ST_FSD"})).decision == "stop"


def test_a_held_low_battery_stops_whatever_else_is_wrong() -> None:
    odd = ups(status=frozenset({"OB", "LB", "FSD"}), warnings=("ST_FSD", "ST_OB_BLIND"))

    assert verdict(odd, lb_held=4).decision == "refuse"
    assert verdict(odd, lb_held=5).decision == "stop"


def test_on_line_and_on_battery_at_once_is_neither() -> None:
    both = ups(status=frozenset({"OL", "OB", "LB"}), mains="unknown", warnings=("ST_OL_OB",))

    assert verdict(both, lb_held=100).decision == "refuse"


def test_on_line_with_a_dead_input_is_on_battery_once_it_was_held() -> None:
    dead = ups(status=frozenset({"OL"}), mains="on", runtime=61.0)

    assert verdict(dead, input_dead_held=4).decision == "none"
    assert verdict(dead, input_dead_held=5).decision == "stop"


@pytest.mark.parametrize(
    ("means", "input_alive", "decision"),
    [
        ("battery", None, "stop"),
        ("battery", False, "stop"),
        ("battery", True, "none"),
        ("mains", None, "none"),
        (None, None, "none"),
    ],
)
def test_ol_dischrg_means_what_the_drill_found(
    means: Any, input_alive: bool | None, decision: str
) -> None:
    both = ups(
        status=frozenset({"OL", "DISCHRG"}), mains="on", runtime=61.0, input_alive=input_alive
    )
    known = dataclasses.replace(MEASURED, ol_discharge=means)

    assert verdict(both, known).decision == decision


def test_silence_on_battery_stops_after_the_hold_and_on_line_never() -> None:
    def silent(seconds: float, **moment: Any) -> Verdict:
        return decide_silent(SITE, ONLY_CAPACITY, Moment(silent=seconds, **moment))

    assert silent(1e6).decision == "none"
    assert silent(29, on_battery_before=True).decision == "ride"
    assert silent(30, on_battery_before=True).by == "comms"
    capped = silent(1, on_battery_before=True, on_battery=841)
    assert (capped.decision, capped.by) == ("stop", "time")
