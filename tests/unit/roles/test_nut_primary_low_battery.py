"""Role nut_primary for a UPS whose own word decides, and for one that counts in minutes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.roles.test_nut_primary_policy import DEVICE, written

from releve.power.gate import Config

STOCK = {key: value for key, value in DEVICE.items() if key != "tiers"} | {"mode": "stock"}
UNMEASURED = STOCK | {"capacity_seconds": None, "thresholds": "device"}


def files(**changed: Any) -> dict[str, str]:
    return written(nut_primary_devices=[{**STOCK, **changed}])


@pytest.mark.parametrize(
    ("changed", "timer", "asked"),
    [
        ({}, True, False),
        (UNMEASURED, True, False),
        (UNMEASURED | {"low_battery_is_enough": True}, False, True),
        # measured: the timer stands under its word all the same
        ({"thresholds": "device", "low_battery_is_enough": True}, True, True),
    ],
)
def test_no_limit_of_time_stands_only_where_nobody_knows_one(
    tmp_path: Any, changed: dict[str, Any], timer: bool, asked: bool
) -> None:
    made = files(**changed)
    file = tmp_path / "power.json"
    file.write_text(made["/etc/releve/power.json"])
    need = json.loads(made["/etc/releve/power-budget.json"])["ups1"]["trigger"]
    (guard,) = Config.read(file).upses

    assert ("START-TIMER" in made["/etc/nut/upssched.conf"]) is timer
    assert ("CANCEL-TIMER" in made["/etc/nut/upssched.conf"]) is timer
    assert guard.low_battery_need == (need if asked else None)


def test_thresholds_are_in_the_unit_of_the_device() -> None:
    seconds, minutes = files(), files(runtime_unit="minutes")
    low = json.loads(seconds["/etc/releve/power-budget.json"])["ups1"]["runtime_low"]

    assert f"override.battery.runtime.low = {low}\n" in seconds["/etc/nut/ups.conf"]
    assert "battery.runtime.unit" not in seconds["/etc/nut/ups.conf"]
    assert f"override.battery.runtime.low = {-(-low // 60)}\n" in minutes["/etc/nut/ups.conf"]
    assert "override.battery.runtime.unit = minutes\n" in minutes["/etc/nut/ups.conf"]
