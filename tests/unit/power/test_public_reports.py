"""Timelines of public reports: a UPS that says something odd stops nobody, and hides no outage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.test_gate import GOOD, GOOD_UPS, record

from releve.power.gate_checks import checks_of
from releve.power.instant import Instant
from releve.power.ladder import Known, Site, rung_of
from releve.power.live import Live
from releve.power.readings import read
from releve.power.thresholds import demands_of, thresholds_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.power.gate_checks import Check
    from releve.power.ladder import Verdict

SITE = Site(need=600)
KNOWN = Known(capacity_seconds=1900)
POLL = 2
HOUR = 3600
# nut#983: the firmware has no runtime, and says -1 for it.
NO_RUNTIME = {
    "ups.status": "OL", "battery.charge": "100", "battery.runtime": "-1", "ups.load": "20",
    "battery.runtime.low": "150", "battery.voltage": "27.2", "input.voltage": "230",
}  # fmt: skip
# nut#2652: the UPS itself calls the battery low at 100 %.
ALWAYS_LOW = {
    "ups.status": "OL DISCHRG", "battery.charge": "100", "battery.charge.low": "100",
    "battery.runtime": "839", "battery.runtime.low": "120", "input.voltage": "230",
    "ups.load": "20",
}  # fmt: skip


def timeline(
    folder: Path, seconds: int, says: Callable[[int], dict[str, str]], known: Known = KNOWN
) -> list[tuple[int, Verdict]]:
    """Return each decision of the ladder, a look every two seconds."""
    live = Live(folder / "state.json", SITE, known)
    return [
        (when, live.look(Instant(when, when, "a"), read(says(when))))
        for when in range(0, seconds, POLL)
    ]


def decided(course: list[tuple[int, Verdict]]) -> tuple[int, Verdict] | None:
    return next(((when, one) for when, one in course if one.decision == "stop"), None)


def minus_one(when: int) -> dict[str, str]:
    """An hour on line, then an outage in which the charge falls a percent in 20 s."""
    if when < HOUR:
        return NO_RUNTIME
    charge = max(0, 100 - (when - HOUR) // 20)
    low = " LB" if charge <= 5 else ""
    return {
        **NO_RUNTIME, "ups.status": f"OB DISCHRG{low}", "battery.charge": str(charge),
        "battery.voltage": f"{22 + charge / 20:.1f}", "input.voltage": "0",
    }  # fmt: skip


def test_r_w02_a_runtime_of_minus_one_stops_nobody_on_line(tmp_path: Path) -> None:
    assert {one.decision for _when, one in timeline(tmp_path, HOUR, minus_one)} == {"none"}
    assert [one for one in read(NO_RUNTIME).warnings if one.startswith("RT_")] == ["RT_NEGATIVE"]


@pytest.mark.parametrize("load", ["20", "0", None])
def test_r_w02_the_site_stops_in_time_by_charge_or_time(tmp_path: Path, load: str | None) -> None:
    def says(when: int) -> dict[str, str]:
        values = {**minus_one(when), "ups.load": load or ""}
        return values if load else {name: values[name] for name in values if name != "ups.load"}

    found = decided(timeline(tmp_path, HOUR + 2000, says))

    assert found is not None
    spent = found[0] - HOUR
    assert 120 < spent < 2000 - SITE.need
    assert found[1].by in ("estimate", "charge", "time")


def test_r_w02_without_a_measured_capacity_the_deploy_asks_for_one() -> None:
    readings = read(NO_RUNTIME)
    asked = demands_of(readings, Known())

    assert rung_of(readings) == "estimate"
    assert [(one.id, one.blocks) for one in asked] == [("capacity", True)]
    assert thresholds_of(readings, SITE, KNOWN).timer == 1900 * 0.8 - 600


def always_low(when: int) -> dict[str, str]:
    """On line and discharging, as it says; three seconds of a low battery after a minute."""
    if 60 <= when < 63:
        return {**ALWAYS_LOW, "ups.status": "OB DISCHRG LB"}
    return ALWAYS_LOW


def test_r_w03_a_device_that_is_always_low_stops_nobody(tmp_path: Path) -> None:
    course = timeline(tmp_path, HOUR, always_low, replace(KNOWN, capacity_seconds=3600))

    assert decided(course) is None
    assert {one.decision for when, one in course if not 60 <= when < 63} == {"none"}


def thresholds_check(variables: dict[str, str], **changed: str) -> Check:
    ups = replace(GOOD_UPS, variables={**variables, **changed}, record=record())
    checks = checks_of(replace(GOOD, upses=(ups,)))
    return next(one for one in checks if one.id == "own-thresholds")


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "failed"),
        ({"battery.charge.low": "80"}, "failed"),
        ({"battery.charge.low": "79"}, "passed"),
        ({"battery.charge.low": "10", "battery.runtime.low": "1801"}, "failed"),
        ({"battery.charge.low": "10", "battery.runtime.low": "1800"}, "passed"),
        ({"battery.charge.low": "N/A", "battery.runtime.low": ""}, "passed"),
        # Own thresholds took its place: the override is what is read back.
        ({"driver.flag.ignorelb": "enabled"}, "passed"),
    ],
)
def test_r_w03_the_gate_refuses_thresholds_that_stop_the_site_at_once(
    changed: dict[str, str], verdict: str
) -> None:
    found = thresholds_check(ALWAYS_LOW, **changed)

    assert found.verdict == verdict
    assert "ignorelb" in found.remedy
