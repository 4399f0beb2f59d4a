"""What nut-scanner finds becomes an entry that the town file takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from releve.power.scan import Found, entries, read
from releve.town import load_town

LAB = Path(__file__).parents[3] / "inventory/lab/town.yml"
EATON = (
    'USB:driver="usbhid-ups",port="auto",vendorid="0463",productid="FFFF",product="5P 1550",'
    'serial="G123F45678",vendor="EATON",bus="001",device="003",busport="002"'
)
CYBERPOWER = (
    'USB:driver="usbhid-ups",port="auto",vendorid="0764",productid="0501",'
    'product="CP1500AVRLCDa",serial="000000000000",vendor="CPS",bus="002",device="007"'
)
CARD = (
    'SNMP:driver="snmp-ups",port="192.0.2.40",desc="Smart-UPS 1500",mibs="apcc",community="secret9"'
)
NOISE = "Cannot load SNMP library (libnetsnmp.so.40) : file not found. SNMP search disabled."


def test_what_changes_with_a_restart_is_left_out() -> None:
    (one,) = read(f"{NOISE}\n{EATON}\n")

    assert (one.driver, one.port, one.title) == ("usbhid-ups", "auto", "EATON 5P 1550")
    assert one.kept == {"vendorid": "0463", "productid": "FFFF", "serial": "G123F45678"}


def test_the_town_file_takes_what_is_offered(tmp_path: Path) -> None:
    words = yaml.safe_load(LAB.read_text())
    offered = yaml.safe_load(entries(read(f"{EATON}\n{CYBERPOWER}\n{CARD}"), "pve1", words["ups"]))
    words["ups"] |= offered["ups"]
    (tmp_path / "town.yml").write_text(yaml.safe_dump(words, sort_keys=False))

    town = load_town(tmp_path)

    assert list(town.ups) == ["ups1", "ups2", "ups3", "ups4"]
    assert town.ups["ups2"].options["vendorid"] == "0463"
    assert (town.ups["ups3"].offdelay_seconds, town.ups["ups3"].ondelay_seconds) == (60, 120)
    assert "serial" not in town.ups["ups3"].options
    assert town.ups["ups4"].options == {"mibs": "apcc"}


def test_a_secret_is_never_shown() -> None:
    shown = entries(read(CARD), "pve1", [])

    assert "secret9" not in shown
    assert "community is not shown" in shown


def test_sisters_without_serial_numbers_are_named() -> None:
    one, alone = read(CYBERPOWER), read(EATON)

    assert entries([*one, *one], "pve1", []).count("nobody can tell them apart") == 2
    assert "apart" not in entries([*one, *alone], "pve1", [])
    assert "apart" not in entries([*alone, *alone], "pve1", [])


@pytest.mark.parametrize(
    ("serial", "kept"),
    [
        ("  G123F45678 ", "G123F45678"),  # a driver leaves blanks out of what the device says
        ("AS(1)+2*", "AS.1..2."),  # and makes an expression of ours
        ("FFFFFFFF", None),
        ("0123456789", None),
        ("\xff\xff1", None),  # NUT leaves what is not ASCII out of ups.conf
        ("A#1", None),
        ("\x1c\x851", None),
    ],
)
def test_a_serial_number_finds_its_device_again_or_is_none(serial: str, kept: str | None) -> None:
    (one,) = read(EATON.replace("G123F45678", serial))

    assert one.kept.get("serial") == kept
    assert one.has_serial is (kept is not None)


def test_whatever_a_device_calls_itself_is_yaml() -> None:
    odd = EATON.replace("5P 1550", "\x00\x1c\x85\u2028# 5P").replace("usbhid-ups", "|\tx")
    offered = yaml.safe_load(entries(read(odd), "pve1", []))

    assert offered["ups"]["ups1"]["driver"] == "|\tx"
    assert offered["ups"]["ups1"]["options"]["serial"] == "G123F45678"


def test_a_value_that_nut_could_not_read_is_left_out() -> None:
    assert Found("USB", "usbhid-ups", "auto", {"vendorid": "04\\63"}).kept == {}
    assert read("") == []
    assert read("# nothing found") == []
