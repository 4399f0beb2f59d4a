"""A value that ends a driver, or that upsd does not take, is told with one that is right."""

from __future__ import annotations

import pytest

from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge

QX = "[ups2]\n  driver = nutdrv_qx\n  port = auto\n"
SNMP = "[ups2]\n  driver = snmp-ups\n  port = 192.0.2.7\n"


@pytest.mark.parametrize(
    ("driver", "port", "refused"),
    [
        ("usbhid-ups", "auto", False),
        ("riello_usb", "auto", False),
        ("bcmxcp_usb", "auto", False),
        ("nutdrv_atcl_usb", "auto", False),
        ("nutdrv_qx", "auto", False),
        ("bcmxcp", "auto", True),
        ("snmp-ups", "auto", True),
        ("netxml-ups", "auto", True),
        ("apcupsd-ups", "auto", True),
        ("apc_modbus", "auto", True),
        ("huawei-ups2000", "auto", True),
        ("generic_modbus", "auto", True),
        ("powercom", "auto", True),
        ("clone", "auto", True),
        ("netxml-ups", "http://192.0.2.7", False),
        ("netxml-ups", "192.0.2.7", True),
        ("netxml-ups", "card.example.org:80", True),
        ("apc_modbus", "192.0.2.7:502", False),
    ],
)
def test_a_port_is_what_the_driver_of_the_device_can_open(
    driver: str, port: str, refused: bool
) -> None:
    text = f"[ups]\n driver = {driver}\n port = {port}\n"
    found = [one for one in judge(read_texts({"ups.conf": text})).findings if one.line == 3]

    assert [one.level for one in found] == (["refuse"] if refused else [])


@pytest.mark.parametrize(
    ("file", "text", "right"),
    [
        ("ups.conf", f"{QX}  offdelay = 6\n", "ups2:offdelay (right is 12 to 5940)"),
        ("ups.conf", f"{SNMP}  snmp_version = 3\n", "snmp_version (right is v1, v2c or v3)"),
        ("ups.conf", f"{SNMP}  snmp_version = v3\n  secName = a\n  secLevel = authNoPriv\n",
         "ups2:authPassword (right is 8 characters or more)"),
        ("ups.conf", "[ups2]\n  driver = genericups\n  port = /dev/ttyS0\n", "(right is 0 to 23)"),
        ("ups.conf", "[ups2]\n  driver = netxml-ups\n  port = 192.0.2.7\n", "http://ADDRESS"),
        ("ups.conf", "[a]\n  driver = riello_ups\n  port = auto\n", "perhaps meant as riello_usb"),
        ("ups.conf", "[a]\n  driver = megatec_usb\n  port = auto\n", "now nutdrv_qx"),
        ("upsd.conf", "MAXAGE <seconds>\n", "MAXAGE with this value (right is a number)"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_taken_is_told_with_one_that_is(
    file: str, text: str, right: str
) -> None:
    found = judge(read_texts({file: text})).findings

    assert any(right in one.text for one in found)


@pytest.mark.parametrize(
    ("path", "mode", "refused"),
    [
        ("/run/nut", "netserver", False),
        ("/var/run/nut/", "standalone", False),
        ("/var/state/ups", "netserver", True),
        ("/opt/nut", "netclient", False),  # where no upsd runs
    ],
)
def test_upsd_and_its_drivers_meet_in_one_place(path: str, mode: str, refused: bool) -> None:
    conf = read_texts({"nut.conf": f"MODE={mode}\n", "upsd.conf": f"STATEPATH {path}\n"})

    assert ("UD_STATEPATH_OTHER" in {one.id for one in judge(conf).findings}) is refused
