"""What NUT says of a UPS is taken apart, whatever program wrote it and in which encoding."""

from __future__ import annotations

import time

import pytest

from releve.power.commands import battery_tests, cut_of
from releve.power.dump import decode, parse

UPSC = """Init SSL without certificate database
battery.charge: 100
ups.status: OL CHRG
"""


def test_upsc_is_read_and_its_noise_is_not() -> None:
    assert parse(UPSC).variables == {"battery.charge": "100", "ups.status": "OL CHRG"}


@pytest.mark.parametrize(
    "line",
    [
        "battery.charge: 100",
        "battery.charge:100",
        "  battery.charge :   100  ",
        "battery.charge: 100\r",
        'VAR ups1 battery.charge "100"',
        "battery.charge: 100\t#BAD: it is 50",
        "battery.charge: 100 #COMMENT: never moves",
        "battery.charge: 100       #<- Huh ?",
        "> battery.charge: 100",
        "- battery.charge: 100",
        "* battery.charge: 100",
        "battery.charge | 100 |  ",
        "| battery.charge | 100 |",
        '{\n  "battery.charge": "100"\n}\n',
        '{"ups1": {"battery.charge": 100, "error": "none", "clients": []}}',
        '{"battery.charge": 100, "count": ' + "9" * 5000 + "}",
    ],
)
def test_one_value_in_many_spellings(line: str) -> None:
    assert parse(line).variables == {"battery.charge": "100"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ups.model: Unknown #BC1200     (1.650)", "Unknown #BC1200     (1.650)"),
        ("device.mfr.date: 01/05/11 - 08:51:00", "01/05/11 - 08:51:00"),
        ('VAR ups1 ups.model "a \\"b\\" \\\\ c"', 'a "b" \\ c'),
        ("ups.status:", ""),
        ("ups.mfr: Größe", "Größe"),
        ('{"ups.id": 1.50}', "1.50"),
    ],
)
def test_a_value_keeps_what_belongs_to_it(line: str, value: str) -> None:
    assert list(parse(line).variables.values()) == [value]


@pytest.mark.parametrize(
    "line",
    [
        "Error: Data stale",
        '{\n  "error": "Data stale"\n}',
        '{"battery.charge": "100"',
        "{" * 100_000,
        "-- | -- | --",
        "Error: Driver not connected",
        "Broadcast message",
        "#RW:ups.id",
        "",
        ":",
    ],
)
def test_what_is_no_value_is_none(line: str) -> None:
    assert parse(line).variables == {}


def test_a_name_that_comes_twice_keeps_its_last_value_that_is_not_empty() -> None:
    text = "ups.load: 10\nups.load: 20\nups.load: \n"

    assert parse(text).variables == {"ups.load": "20"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_the_encoding_does_not_matter(encoding: str) -> None:
    text = "ups.mfr: Größe\r\nbattery.charge: 100\r\n"

    assert parse(text.encode(encoding)).variables["battery.charge"] == "100"


@pytest.mark.parametrize("line", [" " * 30_000, "ups.id|" + " " * 30_000 + "|x|y"])
def test_a_line_that_is_no_value_costs_no_time(line: str) -> None:
    begun = time.process_time()

    assert parse(f"{line}\nbattery.charge: 100\n").variables == {"battery.charge": "100"}
    assert time.process_time() - begun < 1


def test_bytes_of_no_encoding_are_read_too() -> None:
    assert decode(b"ups.mfr: \xff\xfe\x80")


def test_commands_are_read_as_dumps_upscmd_and_upsd_list_them() -> None:
    text = """#CMD:load.off
#CMD: shutdown.stop\t#BAD: Not working
# shutdown.return - Turn off the load and return when power is back
test.battery.start.quick - Start a quick battery test
CMD ups1 beeper.mute
# this report - is prose
"""
    dump = parse(text)

    assert dump.commands == (
        "beeper.mute", "load.off", "shutdown.return", "shutdown.stop", "test.battery.start.quick",
    )  # fmt: skip
    assert dump.dead_commands == ("shutdown.stop",)
    assert battery_tests(dump.commands) == ("test.battery.start.quick",)


@pytest.mark.parametrize(
    ("commands", "offer"),
    [
        ((), "none"),
        (("beeper.mute", "test.battery.start"), "none"),
        (("load.off", "load.on"), "immediate_off"),
        (("load.off", "load.off.delay"), "off_no_return"),
        (("shutdown.stayoff", "load.off"), "off_no_return"),
        (("load.off.delay", "load.on.delay", "shutdown.stayoff"), "delayed_off_on"),
        (("shutdown.reboot", "load.off.delay", "load.on.delay"), "reboot_only"),
        (("outlet.1.shutdown.return", "shutdown.reboot"), "outlet_return"),
        (("shutdown.return", "shutdown.reboot"), "return"),
    ],
)
def test_the_best_way_to_cut_is_named(commands: tuple[str, ...], offer: str) -> None:
    assert cut_of(commands) == offer


def test_commands_that_do_nothing_are_no_offer() -> None:
    assert cut_of(("shutdown.return", "load.off"), dead=("shutdown.return",)) == "immediate_off"
    assert cut_of(("shutdown.return",), dead=("shutdown.return",)) == "offered_not_working"
