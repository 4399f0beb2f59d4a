"""What is known of a UPS is said, and what nobody knows is null and never a number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.power import notify, state
from releve.power.battery import Outcome, keep
from releve.power.measurement import Measurement
from releve.power.notify import Tried, code_of
from releve.power.watching import Places, Watch, Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_780_300_000.0
GOOD = {
    "ups.status": "OL", "battery.charge": "100", "battery.runtime": "1500", "ups.load": "30",
    "battery.voltage": "27.2", "input.voltage": "231",
}  # fmt: skip
RECORD = {"format": 1, "ups": "ups1", "on": "2026-05-31", "how": "deep", "capacity_seconds": 1800}


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd(dict(GOOD))) as small:
        yield small


def watch(upsd: SmallUpsd, folder: Path, tested: bool = False) -> Watch:
    for name in ("state", "tests", "measured"):
        (folder / name).mkdir()
    where = Places(
        folder / "state", folder / "tests", folder / "measured", folder / "b", folder / "p", folder
    )
    return Watch([Watched("ups1", "2025-03-01", 48, tested=tested)], where, upsd.link)


def test_a_ups_that_is_well(upsd: SmallUpsd, tmp_path: Path) -> None:
    one = watch(upsd, tmp_path, tested=True)
    Measurement.parse(RECORD, "here").write(tmp_path / "measured" / "ups1.json")
    keep(tmp_path / "tests", "ups1", Outcome(NOW - 99, "quick", 1.0, 9.0, "ok", False, False))
    told = state.state_of(one, one.upses[0], NOW)

    assert told["rung"] == "runtime"
    assert told["own_thresholds"] is False
    assert told["status"] == "OL"
    assert told["record"]["capacity_seconds"] == 1800
    assert told["quick"]["passed"]
    assert told["proof"] == NOW - 99
    assert told["deep"] is None
    assert told["due"] == "2029-03-01"
    assert told["wrong"] == {}
    json.dumps(told)  # as it is printed


def test_a_ups_that_nobody_hears_is_not_made_up(upsd: SmallUpsd, tmp_path: Path) -> None:
    upsd.stale = True
    one = watch(upsd, tmp_path)
    told = state.state_of(one, one.upses[0], NOW)

    assert told["status"] is None
    assert told["rung"] is None
    assert told["record"] is None
    assert told["proof"] is None
    assert told["error"]


def test_a_link_that_was_frozen_for_a_day_is_said_though_it_answers(
    upsd: SmallUpsd, tmp_path: Path
) -> None:
    one = watch(upsd, tmp_path)
    one.step(NOW - 100_000)
    told = state.state_of(one, one.upses[0], NOW)

    assert "frozen" in told["wrong"]
    assert told["changed"] == NOW - 100_000


def test_looking_leaves_the_watch_s_memory_as_it_is(upsd: SmallUpsd, tmp_path: Path) -> None:
    one = watch(upsd, tmp_path)
    one.step(NOW - 100)
    before = (tmp_path / "state" / "ups1.json").read_text()

    state.state_of(one, one.upses[0], NOW)

    assert (tmp_path / "state" / "ups1.json").read_text() == before


@pytest.mark.parametrize("left", ["", "{", "[]", '{"stops": []}'])
def test_a_stop_that_nobody_noted_is_none(tmp_path: Path, left: str) -> None:
    (tmp_path / "stops.json").write_text(left)

    assert state.last_stop(tmp_path / "stops.json") == {"at": None, "guests": []}


def test_the_newest_stop_counts(tmp_path: Path) -> None:
    file = tmp_path / "stops.json"
    guest = {"vmid": 101, "name": "compta", "why": "", "seconds": 3.0}
    stops = [
        {"at": at, "host_seconds": None, "guests": [guest | {"end": end}]}
        for at, end in ((NOW - 99, "clean"), (NOW, "cut"))
    ]
    file.write_text(json.dumps({"format": 1, "stops": stops}))

    told = state.last_stop(file)

    assert told["at"] == NOW
    assert [one["end"] for one in told["guests"]] == ["cut"]


def test_a_configuration_that_is_missing_is_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("ERROR"):
        assert state.main(["--config", str(tmp_path / "none.json")]) == 2
    assert "apply playbooks/power.yml" in caplog.text


def test_how_a_test_of_the_alarms_went_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mute:
        def send(self, url: str, title: str, body: str, severity: str) -> bool:
            return "deaf" not in url

    urls = ["json://hooks.example.org/a", "json://deaf.example.org/b"]
    config, tried = tmp_path / "notify.json", tmp_path / "kept" / "tried.json"
    config.write_text(json.dumps({"site": "x", "urls": urls}))
    monkeypatch.setattr(notify, "Apprise", Mute)
    words = ["test", "--config", str(config), "--tried", str(tried), "--seed", "s"]
    assert notify.main(words) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert code_of("s", first["target"]) != code_of("s", second["target"])

    kept = Tried.read(tried)
    assert kept[first["target"]]["sent"] is True
    assert kept[first["target"]]["seen"] is None
    assert kept[second["target"]]["sent"] is False

    assert notify.main(["seen", "--tried", str(tried), "--yes", first["target"]]) == 0
    assert Tried.read(tried)[first["target"]]["seen"] is True
    assert notify.main(["seen", "--tried", str(tried), "--no", first["target"]]) == 0
    assert Tried.read(tried)[first["target"]]["seen"] is False
    # a new test has not been seen by anybody
    assert notify.main(words) == 0
    assert Tried.read(tried)[first["target"]]["seen"] is None
    assert "hooks.example.org" not in tried.read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"at": "x"}}'])
def test_a_torn_list_of_tests_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "tried.json").write_text(text)

    assert Tried.read(tmp_path / "tried.json") == {}
