"""What can no longer be believed is told once, and told again when it is over."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.errors import InputError
from releve.power.battery import Outcome, keep
from releve.power.measurement import Measurement
from releve.power.spool import waiting
from releve.power.watch import DAY, Known, Memory, look, news
from releve.power.watching import Places, Watch, Watched, config_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TODAY = datetime.date(2026, 6, 1)
GOOD = {"ups.status": "OL", "battery.charge": "100", "battery.voltage": "27.2", "ups.load": "30"}
HOUR = 3600.0


class Ups:
    """One UPS under watch, by a clock of its own."""

    def __init__(self, known: Known | None = None) -> None:
        self.memory = Memory(0.0, 0.0, 0.0, 0.0)
        self.known = known or Known()
        self.now = 0.0
        self.told: list[str] = []

    def look(self, seconds: float, **values: str) -> dict[str, str]:
        return self._look(
            seconds, GOOD | {key.replace("_", "."): one for key, one in values.items()}
        )

    def silent(self, seconds: float) -> dict[str, str]:
        return self._look(seconds, None)

    def _look(self, seconds: float, values: dict[str, str] | None) -> dict[str, str]:
        self.now += seconds
        wrong = look(self.memory, self.now, values, self.known, TODAY)
        self.told += [f"{one.severity} {one.topic}" for one in news(self.memory, "ups1", wrong)]
        return wrong


def test_silence_is_told_after_a_minute_and_once() -> None:
    ups = Ups()
    ups.look(5)

    assert not ups.silent(55)
    assert "lost-contact" in ups.silent(10)
    ups.silent(600)
    ups.look(5)

    assert ups.told == ["failure lost-contact", "success lost-contact"]


def test_a_day_without_any_change_is_told() -> None:
    ups = Ups()
    ups.look(1)
    assert not ups.look(23 * HOUR)
    assert "frozen" in ups.look(2 * HOUR)
    assert not ups.look(5, ups_load="31")
    assert ups.told == ["failure frozen", "success frozen"]


def test_a_host_that_was_off_for_days_finds_no_link_frozen(tmp_path: Path, upsd: SmallUpsd) -> None:
    where, start = places(tmp_path), 1_780_300_000.0
    Watch([Watched("ups1")], where, upsd.link).step(start)
    again = Watch([Watched("ups1")], where, upsd.link)
    again.step(start + 3 * DAY)
    assert waiting(where.spool) == []

    again.step(start + 3 * DAY + 23 * HOUR)
    assert waiting(where.spool) == []
    again.step(start + 3 * DAY + 25 * HOUR)
    assert [one.topic for one in waiting(where.spool)] == ["frozen"]


def test_a_change_of_the_driver_s_own_words_is_no_change() -> None:
    ups = Ups()
    ups.look(1, driver_state="quiet")
    assert "frozen" in ups.look(25 * HOUR, driver_state="updateinfo")


def test_a_ups_that_tells_its_status_alone_may_stand_still() -> None:
    memory = Memory(0.0, 0.0, 0.0, 0.0)
    for hour in range(100):
        assert not look(memory, hour * HOUR, {"ups.status": "OL"}, Known(), TODAY)


def test_a_battery_that_never_moves_is_told() -> None:
    ups = Ups()
    wrong: dict[str, str] = {}
    for number in range(31 * 24):
        wrong = ups.look(HOUR, ups_load=str(number % 7))
    assert list(wrong) == ["still-battery"]


def test_a_flash_of_replace_battery_is_not_told() -> None:
    ups = Ups()
    ups.look(5)
    for _ in range(10):
        assert not ups.look(5, ups_status="OL LB RB")
    ups.look(5)
    assert not ups.look(25 * HOUR, ups_load="31", ups_status="OL RB")
    assert not ups.look(HOUR, ups_load="32", ups_status="OL RB")
    assert "replace-battery" in ups.look(HOUR, ups_load="33", ups_status="OL RB")
    assert "asked for it" in ups.look(5, ups_load="31", ups_status="OL RB")["replace-battery"]
    assert not ups.look(25 * HOUR, ups_load="32")  # it does no longer


def test_a_failed_test_asks_for_a_battery_at_once() -> None:
    ups = Ups(Known(failed='its quick battery test failed ("Done and error")'))
    assert "Done and error" in ups.look(5)["replace-battery"]


def test_protection_that_is_off_is_told_when_it_lasts() -> None:
    ups = Ups()
    ups.look(5, ups_status="OL BYPASS")
    assert not ups.look(30, ups_status="OL BYPASS")
    assert ups.look(40, ups_status="OL BYPASS") == {
        "unsafe-bypass": "it is bypassed: nobody is protected"
    }
    assert not ups.look(5)
    assert ups.told == ["failure unsafe-bypass", "success unsafe-bypass"]


def test_two_weeks_without_proof_are_told_where_tests_are_made() -> None:
    ups = Ups(Known(tested=True))
    assert not ups.look(14 * DAY)
    assert "no-proof" in ups.look(2 * DAY, ups_load="31")
    ups.known = Known(tested=True, proof=ups.now)
    assert not ups.look(5)
    assert not Ups(Known()).look(100 * DAY, ups_load="31")


def test_a_battery_that_is_due_is_told_three_months_before() -> None:
    due = TODAY + datetime.timedelta(days=90)
    assert not Ups(Known(due=due + datetime.timedelta(days=1))).look(5)
    assert "by age" in Ups(Known(due=due, due_why="by age")).look(5)["battery-due"]


def test_what_is_known_survives_a_restart_and_a_clock_that_jumped(tmp_path: Path) -> None:
    ups = Ups()
    ups.look(5)
    ups.look(25 * HOUR)
    ups.memory.write(tmp_path / "ups1.json")

    again = Memory.read(tmp_path / "ups1.json", ups.now)
    back = Memory.read(tmp_path / "ups1.json", 3.0)

    assert again.raised == ["frozen"]
    assert again.changed == 5
    assert (back.changed, back.heard) == (3.0, 3.0)
    again.resume(ups.now + 48 * HOUR)
    assert (again.changed, again.heard) == (5 + 48 * HOUR, ups.now + 48 * HOUR)
    (tmp_path / "ups1.json").write_text("{")
    assert Memory.read(tmp_path / "ups1.json", 7.0).changed == 7.0


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd(dict(GOOD))) as small:
        yield small


def places(tmp_path: Path) -> Places:
    for name in ("state", "tests", "spool"):
        (tmp_path / name).mkdir()
    return Places(
        state=tmp_path / "state",
        tests=tmp_path / "tests",
        measured=tmp_path / "measured",
        budget=tmp_path / "budget.json",
        metrics=tmp_path / "power.prom",
        spool=tmp_path / "spool",
    )


def test_a_whole_watch(tmp_path: Path, upsd: SmallUpsd) -> None:
    where = places(tmp_path)
    watch = Watch([Watched("ups1", "2022-07-01", 48, tested=True)], where, upsd.link)

    watch.step(1_780_300_000.0)
    upsd.stale = True
    watch.step(1_780_300_100.0)

    assert {one.topic for one in waiting(where.spool)} == {"battery-due", "lost-contact"}
    assert 'nut_ups_up{ups="ups1"} 0' in where.metrics.read_text()
    assert 'releve_power_alarm{ups="ups1",alarm="lost-contact"} 1' in where.metrics.read_text()


def test_a_spool_that_is_full_loses_no_alarm(tmp_path: Path, upsd: SmallUpsd) -> None:
    where = places(tmp_path)
    watch = Watch([Watched("ups1", "2022-07-01", 48)], where, upsd.link)
    where.spool.rename(tmp_path / "elsewhere")
    watch.step(1_780_300_000.0)
    (tmp_path / "elsewhere").rename(where.spool)

    watch.step(1_780_300_005.0)

    assert [one.topic for one in waiting(where.spool)] == ["battery-due"]


def test_a_full_disk_keeps_nobody_from_looking_at_the_next_ups(
    tmp_path: Path, upsd: SmallUpsd
) -> None:
    where = dataclasses.replace(places(tmp_path), state=tmp_path / "full" / "state")
    watch = Watch([Watched("gone"), Watched("ups1", "2022-07-01", 48)], where, upsd.link)
    watch.step(1_780_300_000.0)

    assert [(one.ups, one.topic) for one in waiting(where.spool)] == [("ups1", "battery-due")]
    assert 'nut_ups_up{ups="ups1"} 1' in where.metrics.read_text()


def test_a_record_that_is_broken_keeps_nobody_from_watching(
    tmp_path: Path, upsd: SmallUpsd
) -> None:
    where = places(tmp_path)
    (tmp_path / "tests" / "ups1.json").write_text("{")
    watch = Watch([Watched("ups1")], where, upsd.link)
    upsd.stale = True
    watch.step(1_780_300_000.0)
    watch.step(1_780_300_100.0)

    assert [one.topic for one in waiting(where.spool)] == ["lost-contact"]


def test_metrics_say_nothing_of_what_is_not_known(tmp_path: Path, upsd: SmallUpsd) -> None:
    where = places(tmp_path)
    upsd.values["battery.runtime"] = "N/A"
    upsd.values["ups.load"] = "0"
    Watch([Watched("ups1")], where, upsd.link).step(1_780_300_000.0)

    text = where.metrics.read_text()

    assert 'nut_ups_battery_charge_ratio{ups="ups1"} 1\n' in text
    assert 'nut_ups_status{ups="ups1",status="OL"} 1' in text
    assert 'nut_ups_status{ups="ups1",status="OB"} 0' in text
    assert 'releve_power_commissioning{ups="ups1"} 1' in text
    for absent in ("runtime_seconds", "load_ratio", "capacity_seconds", "replace_", "test_"):
        assert absent not in text
    assert not list(tmp_path.glob(".*.part"))


def test_metrics_of_what_was_measured_and_tested(tmp_path: Path, upsd: SmallUpsd) -> None:
    where = places(tmp_path)
    record = Measurement(ups="ups1", on=TODAY, how="deep", capacity_seconds=1480)
    record.write(where.tests / "ups1.json")
    keep(where.tests, "ups1", Outcome(1_780_000_000.0, "quick", 1.0, 11.0, "", False, False))
    watch = Watch([Watched("ups1", "2026-01-01", 48)], where, upsd.link)
    watch.step(1_780_300_000.0)

    text = where.metrics.read_text()

    assert 'releve_power_battery_capacity_seconds{ups="ups1"} 1480' in text
    assert 'releve_power_battery_test_passed{ups="ups1",kind="quick"} 1' in text
    assert 'releve_power_battery_replace_timestamp_seconds{ups="ups1"} 1893456000' in text
    assert text.count("# TYPE nut_ups_status gauge") == 1
    assert "releve_power_spool_alarms 0" in text


def test_a_budget_that_no_longer_fits_makes_the_battery_due(
    tmp_path: Path, upsd: SmallUpsd
) -> None:
    where = places(tmp_path)
    where.budget.write_text(json.dumps({"ups1": {"runtime_low": 1500}}))
    Measurement(ups="ups1", on=TODAY, how="deep", capacity_seconds=1480, until="low-battery").write(
        where.tests / "ups1.json"
    )

    Watch([Watched("ups1")], where, upsd.link).step(1_780_300_000.0)

    (alarm,) = waiting(where.spool)
    assert "falls below the 1500 s" in alarm.text


def test_the_configuration_is_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "watch.json"
    file.write_text('{"upses": [{"name": "ups1", "tested": true}]}')
    assert config_of(file) == [Watched("ups1", tested=True)]
    file.write_text('{"upses": [{"ups": "ups1"}]}')
    with pytest.raises(InputError, match="no configuration"):
        config_of(file)
