"""Which packages role nut_primary installs: a driver may lie in one of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from releve.power.lint.drivers import OPTIONS

ROLE = Path(__file__).parents[3] / "roles" / "nut_primary"
ALWAYS = ["libnss3-tools", "nftables", "nut-client", "nut-server", "openssl"]


def packages(*drivers: str) -> list[str]:
    variables: dict[str, Any] = DataLoader().load_from_file(
        str(ROLE / "vars" / "main.yml"), trusted_as_template=True
    )
    variables |= {"nut_primary_devices": [{"name": one, "driver": one} for one in drivers]}
    found: list[str] = Templar(loader=DataLoader(), variables=variables).template(
        variables["__nut_primary_packages"]
    )
    return found


def test_a_usb_driver_comes_with_the_server() -> None:
    assert packages("usbhid-ups", "nutdrv_qx") == ALWAYS


@pytest.mark.parametrize(
    ("driver", "package"),
    [("snmp-ups", "nut-snmp"), ("apc_modbus", "nut-modbus"), ("netxml-ups", "nut-xml")],
)
def test_a_driver_of_another_package_brings_that_along(driver: str, package: str) -> None:
    assert packages("usbhid-ups", driver, driver) == [*ALWAYS, package]


def test_each_driver_in_the_table_is_one_of_nut() -> None:
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))

    assert variables["__nut_primary_packages_of"].keys() <= OPTIONS.keys()
