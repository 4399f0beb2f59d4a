"""Devices as a town's admin writes them: what would not work is told before it is deployed."""

from __future__ import annotations

from typing import Any

import pytest

from releve.power.inputs.devices import Fault, device_faults

USB = {"name": "ups1", "driver": "usbhid-ups", "port": "auto", "options": {"serial": "G3M1"}}
SNMP = {"name": "ups1", "driver": "snmp-ups", "port": "192.0.2.50", "options": {}}


def faults(*devices: dict[str, Any], accepted: tuple[str, ...] = ()) -> list[Fault]:
    return list(device_faults(devices, accepted))


@pytest.mark.parametrize(
    "device",
    [
        USB,
        SNMP,
        USB | {"options": {"vendorid": "0463", "productid": "ffff"}},
        {"name": "UPS-1.a", "driver": "apcsmart", "port": "/dev/ttyS0"},
        {"name": "ups1", "driver": "apc_modbus", "port": "192.0.2.60:502", "options": {}},
        {"name": "ups1", "driver": "ours-alone", "port": "x", "options": {"any": 1}},
        {"name": "ups1", "driver": "dummy-ups", "port": "/var/lib/paper.dev"},
    ],
)
def test_a_device_that_can_work_is_taken(device: dict[str, Any]) -> None:
    assert faults(device) == []


@pytest.mark.parametrize(
    ("device", "key", "said"),
    [
        (USB | {"name": "APC Smart-UPS"}, "name", "other signs"),
        (USB | {"driver": "usb-hid"}, "driver", 'did you mean "usbhid-ups"'),
        (USB | {"driver": "newhidups"}, "driver", 'called "usbhid-ups" now'),
        (USB | {"driver": "usbhid ups"}, "driver", "no single word"),
        (USB | {"port": "a b"}, "port", "no single word"),
        (SNMP | {"port": "auto"}, "port", "UC_PORT_AUTO"),
        (USB | {"driver": "apcsmart", "options": {}}, "port", "UC_PORT_AUTO"),
        (USB | {"driver": "netxml-ups", "options": {}}, "port", "UC_PORT_AUTO"),
        (USB | {"driver": "apc_modbus", "options": {}}, "port", "UC_PORT_AUTO"),
        ({"name": "ups1", "driver": "huawei-ups2000"}, "port", "UC_PORT_AUTO"),
        (SNMP | {"driver": "netxml-ups"}, "port", "UC_OPTION_VALUE"),
        (USB | {"options": {"lowbat": 30}}, "options.lowbat", "UC_UNKNOWN_OPTION"),
        (USB | {"options": {"serial": 'G3"M1'}}, "options.serial", "cannot read"),
        (
            USB | {"options": {"desc": "room # 2"}},
            "options.desc",
            'NUT cannot read a value with a "',
        ),
        (USB | {"options": {"pollonly": False}}, "options.pollonly", "NUT knows no true and false"),
        (USB | {"options": {"serial": 123}}, "options.serial", "put it into quotes"),
        (USB | {"options": {"vendorid": 307}}, "options.vendorid", "put it into quotes"),
        (USB | {"options": {"vendorid": "463"}}, "options.vendorid", "four signs"),
        (USB | {"options": {"poll interval": 2}}, "options.poll interval", "no name"),
        (SNMP | {"options": {"snmp_version": "v4"}}, "options.snmp_version", "UC_OPTION_VALUE"),
    ],
)
def test_a_device_that_cannot_work_is_told_with_its_key(
    device: dict[str, Any], key: str, said: str
) -> None:
    (found,) = faults(device)

    assert (found.device, found.key) == (device["name"], key)
    assert said in found.text


def test_two_that_nothing_tells_apart_are_told_both() -> None:
    either = USB | {"options": {}}

    found = faults(either, either | {"name": "ups2"})

    assert [(one.device, "UC_USB_AMBIGUOUS" in one.text) for one in found] == [
        ("ups1", True),
        ("ups2", True),
    ]
    assert faults(USB, USB | {"name": "ups2", "options": {"serial": "G3M2"}}) == []


def test_a_finding_whose_risk_is_taken_is_left_out() -> None:
    assert faults(USB | {"options": {"lowbat": 3}}, accepted=("UC_UNKNOWN_OPTION",)) == []
