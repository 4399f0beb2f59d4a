"""A value that ends a driver, or that upsd does not take, is told with one that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.power.lint.model import Facts
from releve.power.lint.read import read_texts
from releve.power.lint.releases import DEBIAN_13
from releve.power.lint.verdict import judge

if TYPE_CHECKING:
    from releve.power.lint.releases import Release

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


def refused(driver: str, *options: str, release: Release = DEBIAN_13) -> set[str]:
    """Return the options of a device whose values end its driver."""
    text = "\n ".join([f"[ups]\n driver = {driver}\n port = auto", *options])
    found = judge(read_texts({"ups.conf": f"{text}\n"}, Facts(release=release))).findings
    at = [one.at.split(" ")[0] for one in found if one.id == "UC_OPTION_VALUE"]
    return {one.partition(":")[2] for one in at}


@pytest.mark.parametrize(
    ("option", "fits"),
    [
        ("vendorid = 051D", True),
        ("vendorid = 0x051d", False),
        ("vendorid = 764", False),
        ("productid = 0(002|003)", True),
        ("bus = 001", True),
        ("bus = 1", False),
        ("busport = 2", False),
        ('product = "Back-UPS RS 900MI FW:961.L4 .I USB FW:L4"', True),
        ('product = ".*Smart.*"', True),
        ("product = *", False),
        ('product = "5P (1150"', False),
        ('product = "5P \\\\(1150"', True),
        ('product = "[5P"', False),
        ('product = "5P{a}"', False),
        ('product = "5P)"', True),
        ('product = "5P\\\\"', False),
        ("serial = F?????", True),
        ('serial = "3B1841X06127  "', False),
        ('serial = ""', True),
    ],
)
def test_a_usb_device_fits_a_whole_expression(option: str, fits: bool) -> None:
    assert refused("usbhid-ups", option) == (set() if fits else {option.partition(" ")[0]})


@pytest.mark.parametrize("driver", ["nutdrv_qx", "blazer_usb"])
def test_a_subdriver_of_ones_own_choice_wants_the_numbers(driver: str) -> None:
    assert refused(driver, "subdriver = Cypress") == {"vendorid", "productid"}
    assert refused(driver, "subdriver = Cypress", "vendorid = 0665", "productid = 5161") == set()
    assert refused("usbhid-ups", "explore") == {"vendorid"}


def test_a_name_is_one_of_its_driver_and_release() -> None:
    both = ("vendorid = 0665", "productid = 5161", "subdriver = gtec")
    assert refused("nutdrv_qx", *both) == {"subdriver"}
    assert refused("nutdrv_qx", *both, release=(2, 8, 3)) == set()
    assert refused("nutdrv_qx", "protocol = Voltronic-QS") == set()
    assert refused("nutdrv_qx", "protocol = voltronic-axpert", release=(2, 8, 3)) == {"protocol"}
    assert refused("blazer_usb", "protocol = voltronic") == {"protocol"}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("runtimecal = 240,100,720,50", "chargetime = 43200", "idleload = 10"), set()),
        (('runtimecal = "240, 100, 720, 50"',), set()),
        (("runtimecal = 240,100,720",), {"runtimecal"}),
        (("runtimecal = 720,50,240,100",), {"runtimecal"}),
        (("runtimecal = 240,100,720,0",), {"runtimecal"}),
        (("runtimecal = four,100,720,50",), {"runtimecal"}),
        (("runtimecal = 240,100,720,50", "idleload = 0"), {"idleload"}),
        (("runtimecal = 240,100,720,50", "chargetime = 12h", "idleload = 110"), {"idleload"}),
        (("runtimecal = 240,100,720,50", "chargetime = half"), {"chargetime"}),
        (("chargetime = half", "idleload = 0"), set()),  # nobody looks at them
    ],
)
def test_a_runtime_is_reckoned_from_four_numbers(options: tuple[str, ...], wrong: set[str]) -> None:
    assert refused("nutdrv_qx", *options) == wrong


@pytest.mark.parametrize("written", [("nutdrv_qx", 180), ("blazer_usb", 3)])
def test_a_q_device_counts_its_return_from_the_cut(written: tuple[str, int]) -> None:
    driver, on = written
    text = f"[ups]\n driver = {driver}\n port = auto\n offdelay = 600\n"
    for delay in (f" ondelay = {on}\n", ""):
        found = {one.id for one in judge(read_texts({"ups.conf": text + delay})).findings}
        assert {one for one in found if "ONDELAY" in one} == set()
