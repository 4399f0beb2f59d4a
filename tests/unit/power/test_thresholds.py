"""Stock NUT gets own thresholds only where a discharge proved both values, and always the timer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from releve.power.ladder import Known, Moment, Site, decide
from releve.power.measurement import Moved, Point
from releve.power.readings import Readings
from releve.power.thresholds import demands_of, thresholds_of

SITE = Site(need=600, derate=0.8)
BOTH = Moved(charge=True, runtime=True)
MEASURED = Known(capacity_seconds=1800, moved=BOTH)


def ups(**values: Any) -> Readings:
    sane: dict[str, Any] = {
        "status": frozenset({"OL"}), "mains": "on", "runtime": 1700.5, "charge": 100.0,
        "load": 30.0, "voltage": 27.1, "input_voltage": 230.0, "input_alive": True,
    }  # fmt: skip
    return Readings(**{**sane, **values})


def test_own_thresholds_stand_where_the_ladder_would_stop() -> None:
    found = thresholds_of(ups(), SITE, MEASURED)

    assert (found.ignorelb, found.runtime_low, found.charge_low) == (True, 750, 42)
    assert found.timer == 840
    on_battery = {"status": frozenset({"OB"}), "mains": "off"}
    for low, decision in ((750, "ride"), (749, "stop")):
        runs = ups(runtime=float(low), charge=None, **on_battery)
        assert decide(runs, SITE, MEASURED, Moment()).decision == decision
    for low, decision in ((42, "ride"), (41, "stop")):
        charged = ups(runtime=None, charge=float(low), **on_battery)
        assert decide(charged, SITE, MEASURED, Moment()).decision == decision


def test_a_grain_is_added_and_the_curve_is_followed() -> None:
    curve = (Point(0, 100, None, None), Point(1000, 90, None, None), Point(1800, 10, None, None))
    found = thresholds_of(ups(grain=60), SITE, dataclasses.replace(MEASURED, curve=curve))

    assert found.runtime_low == 825
    assert found.charge_low == 85  # 1050 s gone of 1800


@pytest.mark.parametrize(
    ("values", "known", "why"),
    [
        ({}, Known(capacity_seconds=1800), "nobody saw"),
        ({}, Known(capacity_seconds=1800, moved=Moved(runtime=True)), "charge stood still"),
        ({"charge": None}, MEASURED, "no charge"),
        ({"runtime": None}, MEASURED, "rung estimate"),
        ({"runtime": None, "charge": None}, MEASURED, "rung time"),
    ],
)
def test_without_both_values_seen_moving_the_low_battery_is_never_ignored(
    values: dict[str, Any], known: Known, why: str
) -> None:
    found = thresholds_of(ups(**values), SITE, known)

    assert (found.ignorelb, found.runtime_low, found.charge_low) == (False, None, None)
    assert found.timer == 840
    assert why in found.why


def test_a_battery_that_does_not_carry_the_site_leaves_no_time() -> None:
    found = thresholds_of(ups(), SITE, Known(capacity_seconds=700, moved=BOTH))

    assert (found.ignorelb, found.timer) == (False, 0)
    assert "no charge carries" in found.why


def test_a_refused_device_gets_nothing() -> None:
    found = thresholds_of(ups(warnings=("ST_OL_OB",)), SITE, MEASURED)

    assert (found.ignorelb, found.timer) == (False, None)


def demands(readings: Readings, known: Known, **options: Any) -> dict[str, bool]:
    return {one.id: one.blocks for one in demands_of(readings, known, **options)}


def test_a_measured_sane_ups_owes_nothing() -> None:
    assert demands(ups(), MEASURED) == {}


def test_a_capacity_is_demanded_on_every_rung() -> None:
    assert demands(ups(), Known()) == {"capacity": True}
    assert demands(ups(runtime=None), Known()) == {"capacity": True}


def test_its_own_low_battery_is_enough_only_where_it_can_be_believed() -> None:
    assert demands(ups(), Known(), accept_lb_only=True) == {}
    doubted = ups(warnings=("CL_ABSURD",))
    assert demands(doubted, Known(), accept_lb_only=True) == {"capacity": True}


def test_a_ups_that_shows_nothing_of_the_mains_needs_a_plug_pull() -> None:
    silent = ups(load=None, input_voltage=None, input_alive=None)

    assert demands(silent, MEASURED) == {"mains": True}
    assert demands(silent, MEASURED, mains_proven=True) == {}
    assert demands(ups(), MEASURED, mains_proven=False) == {"mains": True}


def test_what_a_drill_has_to_find_out_is_asked_for() -> None:
    odd = ups(runtime=None, charge=None, warnings=("ST_OL_DISCHRG", "RT_TINY", "ST_BYPASS"))

    assert demands(odd, Known(capacity_seconds=1800)) == {
        "ol-discharge": False, "unit": False, "voltage": False, "output": False,
    }  # fmt: skip
    known = dataclasses.replace(MEASURED, ol_discharge="mains")
    assert "ol-discharge" not in demands(odd, known)


def test_a_refused_device_is_asked_to_be_another() -> None:
    assert demands(ups(warnings=("ST_FSD",)), MEASURED) == {"refused": True}
