"""The lab's driver publishes what a NUT driver would, with NUT's own rules for thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from releve.lab.ups.labups import published, section_of

CONF = """
maxretry = 3
[other]
  driver = usbhid-ups
[ups1]
  driver = labups   # of the lab
  port = "ups1"
  ignorelb
  override.battery.runtime.low = 112
  override.battery.charge.low = 93
"""


def state(status: str, charge: str, runtime: str) -> dict[str, Any]:
    values = {"ups.status": status, "battery.charge": charge, "battery.runtime": runtime}
    return {"comms": True, "vars": values}


def test_only_its_own_section_counts() -> None:
    settings = section_of(CONF, "ups1")

    assert settings["port"] == "ups1"
    assert settings["ignorelb"] == "yes"
    assert "maxretry" not in settings
    assert section_of(CONF, "other") == {"driver": "usbhid-ups"}


@pytest.mark.parametrize(
    ("status", "charge", "runtime", "seen"),
    [
        ("OB DISCHRG", "100", "120", "OB DISCHRG"),
        ("OB DISCHRG", "100", "111", "OB DISCHRG LB"),
        ("OB DISCHRG", "92", "120", "OB DISCHRG LB"),
        ("OB DISCHRG LB", "100", "120", "OB DISCHRG"),
        ("OL CHRG", "50", "60", "OL CHRG LB"),
    ],
)
def test_own_thresholds_decide_alone(status: str, charge: str, runtime: str, seen: str) -> None:
    values = published(state(status, charge, runtime), section_of(CONF, "ups1"), {})

    assert values["ups.status"] == seen
    assert values["battery.runtime.low"] == "112"
    assert values["driver.flag.ignorelb"] == "enabled"


def test_without_ignorelb_the_device_decides() -> None:
    settings = {"override.battery.runtime.low": "112"}
    values = published(state("OB DISCHRG LB", "100", "120"), settings, {})

    assert values["ups.status"] == "OB DISCHRG LB"
    assert "driver.flag.ignorelb" not in values
