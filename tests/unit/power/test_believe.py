"""`believe` says what a dump or a running upsd is worth, here and on the UPS's host alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.cli.power_believe import command
from releve.errors import InputError
from releve.power.believe import main, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DUMP = """Init SSL without certificate database
battery.charge: 100
battery.runtime: 932
battery.voltage: 13.1
device.model: 5P 650
driver.name: usbhid-ups
input.voltage: 236.2
ups.load: 26
ups.status: OL
#CMD:shutdown.return
#CMD:test.battery.start.quick
"""
RECORD = {
    "format": 1, "ups": "ups1", "on": "2026-05-31", "how": "plug-pull", "capacity_seconds": 1800,
    "load_percent": 26, "curve": [[0, 100, 13.1, 932], [1800, 5, 10.5, 1]],
    "moved": {"charge": True, "runtime": True, "voltage": True}, "ob_seen_seconds": 2,
}  # fmt: skip


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    file = tmp_path / "ups.dev"
    file.write_text(DUMP, encoding="utf-8")
    return file


@pytest.fixture
def record(tmp_path: Path) -> Path:
    file = tmp_path / "ups1.json"
    file.write_text(json.dumps(RECORD), encoding="utf-8")
    return file


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the verb of the zipapp; return its exit code and what it printed."""
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_dump_is_judged(capsys: pytest.CaptureFixture[str], dump: Path, record: Path) -> None:
    code, said = answer(capsys, str(dump), "--need", "600", "--measured", str(record))

    assert code == 0
    assert (said["rung"], said["cut"], said["warnings"]) == ("runtime", "return", [])
    assert said["now"]["decision"] == "none"
    assert (said["if_on_battery"]["decision"], said["if_on_battery"]["by"]) == ("ride", "runtime")
    assert said["thresholds"]["ignorelb"] is True
    assert said["demands"] == []


def test_without_a_need_nothing_is_decided(capsys: pytest.CaptureFixture[str], dump: Path) -> None:
    _code, said = answer(capsys, str(dump))

    assert said["if_on_battery"] is None
    assert said["thresholds"] is None
    assert [one["id"] for one in said["demands"]] == ["capacity"]


def test_a_device_that_can_guard_nothing_ends_with_4(
    capsys: pytest.CaptureFixture[str], dump: Path
) -> None:
    dump.write_text("ups.status: OL OB\n", encoding="utf-8")
    code, said = answer(capsys, str(dump), "--need", "600")

    assert code == 4
    assert said["if_on_battery"]["decision"] == "refuse"


def test_the_command_line_says_the_same(dump: Path) -> None:
    runner = CliRunner()
    asked = [str(dump), "--need", "600", "--capacity", "1800"]

    said = json.loads(runner.invoke(command, [*asked, "--json"]).output)
    table = runner.invoke(command, asked).output

    assert said["if_on_battery"]["why"] in table
    assert "timer 840 s" in table
    assert "5P 650" in table


@pytest.mark.parametrize("target", ["nowhere", "@host", "ups@", "ups@host:x", "."])
def test_what_is_neither_a_file_nor_a_ups_is_said(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([target]) == 2
    assert f"{target}: no such file, and no UPS@HOST" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--need", "-5"], "--need: -5 is no time"),
        (["--need", "nan"], "--need: nan is no time"),
        (["--need", "inf", "--capacity", "inf"], "--need: inf is no time"),
        (["--capacity", "0"], "--capacity: 0 is no time"),
        (["--derate", "0"], "--derate: 0 is no share"),
        (["--derate", "3"], "--derate: 3 is no share"),
        (["--derate", "nan"], "--derate: nan is no share"),
    ],
)
def test_a_number_that_cannot_be_is_said(
    capsys: pytest.CaptureFixture[str], dump: Path, words: list[str], told: str
) -> None:
    assert main([str(dump), *words]) == 2
    assert told in capsys.readouterr().err
    with pytest.raises(InputError, match=told):
        command.main([str(dump), *words], standalone_mode=False)


def test_a_file_that_holds_no_ups_is_said(tmp_path: Path) -> None:
    file = tmp_path / "readme"
    file.write_text("Error: Data stale\n", encoding="utf-8")

    with pytest.raises(InputError, match="no line `name: value`"):
        source_of(str(file))


def test_a_broken_record_is_said(
    dump: Path, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write_text("{}", encoding="utf-8")

    assert main([str(dump), "--measured", str(record)]) == 2
    assert "ups1.json" in capsys.readouterr().err


@pytest.fixture
def upsd() -> Iterator[int]:
    small = SmallUpsd({"ups.status": "OL", "battery.charge": "97"}, {"load.off": lambda: None})
    with serving(small):
        yield small.link.port


def test_a_running_ups_is_asked(upsd: int) -> None:
    dump = source_of(f"ups1@127.0.0.1:{upsd}")

    assert dump.variables == {"ups.status": "OL", "battery.charge": "97"}
    assert dump.commands == ("load.off",)


def test_a_ups_that_upsd_does_not_know_is_said(
    upsd: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"ups2@127.0.0.1:{upsd}"]) != 0
    assert "ups2" in capsys.readouterr().err


def test_an_upsd_that_is_away_is_tried_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ups1@127.0.0.1:1"]) == 75
    assert "does not answer" in capsys.readouterr().err
