"""Delays are refused or written as the driver and the device really take them."""

from __future__ import annotations

import io
import json

import pytest

from releve.power.delays import Device, default_on, device_of, is_cyberpower, main
from releve.power.lint.drivers import OPTIONS


def faults(driver: str, off: int, on: int, *, minutes: bool = False) -> str:
    return "; ".join(Device(driver, off, on, whole_minutes=minutes).faults())


@pytest.mark.parametrize(
    ("driver", "off", "on", "written"),
    [
        ("usbhid-ups", 60, 120, {"offdelay": 60, "ondelay": 120}),
        ("usbhid-ups", 75, 130, {"offdelay": 75, "ondelay": 130}),
        ("nutdrv_qx", 120, 180, {"offdelay": 120, "ondelay": 180}),
        ("blazer_usb", 60, 180, {"offdelay": 60, "ondelay": 3}),
        ("blazer_ser", 120, 300, {"offdelay": 120, "ondelay": 5}),
        ("safenet", 75, 120, {"offdelay": 75, "ondelay": 2}),
        ("mge-utalk", 60, 120, {"offdelay": 60, "ondelay": 2}),
        ("powerpanel", 60, 120, {"offdelay": 60, "ondelay": 2}),
        ("huawei-ups2000", 66, 120, {"offdelay": 66, "ondelay": 120}),
        ("snmp-ups", 300, 360, {"offdelay": 300, "ondelay": 360}),
    ],
)
def test_what_a_driver_takes_is_written_in_its_own_units(
    driver: str, off: int, on: int, written: dict[str, int]
) -> None:
    assert faults(driver, off, on) == ""
    assert Device(driver, off, on).written == written


@pytest.mark.parametrize(
    ("driver", "off", "on", "said"),
    [
        ("usbhid-ups", 20, 120, "offdelay 20 s is too short: say 60 s or more"),
        ("usbhid-ups", 60, 90, "ondelay 90 s is too short: say 120 s or more"),
        ("nutdrv_qx", 60, 120, "ondelay 120 s is too short: say 180 s or more"),
        ("nutdrv_qx", 90, 180, "offdelay 90 s would be 60 s, since it is taken in whole minutes"),
        ("blazer_usb", 60, 200, "ondelay 200 s would be 180 s, since it is taken in whole minutes"),
        ("blazer_usb", 660, 720, "offdelay 660 s is more than driver blazer_usb takes"),
        ("safenet", 1000, 1020, "offdelay 1000 s is more than driver safenet takes"),
        (
            "huawei-ups2000",
            65,
            120,
            "would be 60 s, since it is taken in steps of 6 s: say 60 s or",
        ),
        ("usbhid-ups", 180, 180, "ondelay 180 s is not more than offdelay 180 s"),
        ("apcsmart", 60, 120, "driver apcsmart knows no offdelay and ondelay and ends at start"),
        ("tripplite_usb", 60, 120, "driver tripplite_usb knows no ondelay and ends at start"),
        ("netxml-ups", 60, 120, "delays_at: device in the town file"),
    ],
)
def test_what_it_does_not_take_is_refused_with_the_numbers(
    driver: str, off: int, on: int, said: str
) -> None:
    assert said in faults(driver, off, on)


def test_a_cyberpower_counts_whole_minutes() -> None:
    assert faults("usbhid-ups", 60, 120, minutes=True) == ""
    said = faults("usbhid-ups", 119, 179, minutes=True)
    assert "offdelay 119 s would be 60 s" in said
    assert "ondelay 179 s would be 120 s" in said
    assert "say 60 s or 120 s" in said
    together = faults("usbhid-ups", 125, 179, minutes=True)
    assert "the output would come on before it has gone off" in together


def test_a_q_device_counts_its_return_from_the_cut() -> None:
    assert faults("nutdrv_qx", 300, 180) == ""
    assert faults("blazer_ser", 180, 180) == ""


@pytest.mark.parametrize(
    ("options", "is_one"),
    [
        ({"vendorid": "0764"}, True),
        ({"vendorid": 764}, True),
        ({"vendorid": "0x0764"}, True),
        ({"desc": "Cyber Power CP900"}, True),
        ({"vendor": "CyberPower.*"}, True),
        ({"vendorid": "051d"}, False),
        ({"vendorid": "10764"}, False),
        ({}, False),
    ],
)
def test_a_cyberpower_is_known_by_its_vendor(options: dict[str, object], *, is_one: bool) -> None:
    assert is_cyberpower(options) is is_one


@pytest.mark.parametrize("driver", ["blazer_usb", "nutdrv_qx", "usbhid-ups", "mge-shut", "clone"])
def test_a_default_holds_for_every_driver(driver: str) -> None:
    assert faults(driver, 60, default_on(driver)) == ""


def test_a_device_that_sets_its_own_delays_is_not_judged() -> None:
    assert list(Device("apcsmart", 0, 0, sets_delays=False).faults()) == []


def test_a_driver_that_nut_does_not_have_is_not_judged() -> None:
    assert "labups" not in OPTIONS
    assert faults("labups", 3, 5) == ""


def test_the_verb_answers_for_each_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [
        {"name": "ups1", "driver": "blazer_usb", "offdelay": "60", "ondelay": 180,
         "sets_delays": True, "options": {}},
        {"name": "ups2", "driver": "usbhid-ups", "offdelay": 90, "ondelay": 150,
         "sets_delays": True, "options": {"vendorid": "0764"}},
    ]  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(said)))

    assert main([]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ups1"] == {"offdelay": 60, "ondelay": 3, "faults": []}
    assert len(told["ups2"]["faults"]) == 2


@pytest.mark.parametrize("text", ["", "7", "[{}]", '[{"name": "a", "driver": "b"}]', "[1]"])
def test_an_input_that_is_none_is_one_sentence(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    assert main([]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_it_is_taken_out_of_what_the_role_knows() -> None:
    known = {"driver": "usbhid-ups", "offdelay": 60, "ondelay": 120, "sets_delays": True,
             "options": {"vendorid": "0764"}}  # fmt: skip

    assert device_of(known) == Device("usbhid-ups", 60, 120, whole_minutes=True)
    assert not device_of(known | {"driver": "snmp-ups"}).whole_minutes
