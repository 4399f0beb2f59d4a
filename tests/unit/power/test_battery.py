"""A battery test proves that the UPS is heard; what is wrong becomes an alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.discharge import PaperUps

from releve.errors import CheckError, LaterError
from releve.power import battery, measuring, tasks
from releve.power.battery import CAL_FILE, Outcome, keep, outcomes, run_test
from releve.power.sampling import Sampler
from releve.power.spool import waiting

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.battery import Kind
    from releve.power.sampling import Request


class Host:
    """The state folder, the spool, and tests on the clock of a paper UPS."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.spool = folder / "state", folder / "spool"
        self.spool.mkdir()
        self.patch = monkeypatch
        monkeypatch.setattr(measuring, "what_is_busy", list)
        monkeypatch.setattr(measuring, "who_would_be_cut", lambda _ups: [])
        monkeypatch.setattr(battery, "KNOWN", folder)
        monkeypatch.setattr(battery, "HOLD", folder)
        self.timer(600)

    def timer(self, seconds: int) -> None:
        line = f"AT ONBATT ups1@localhost START-TIMER on-battery-ups1 {seconds}\n"
        real = tasks.read
        for module in (battery, measuring):
            self.patch.setattr(
                module, "text_of", lambda file: line if "upssched" in file.name else real(file)
            )

    def test(self, ups: PaperUps, kind: Kind = "quick", **more: Any) -> Outcome:
        def with_clock(request: Request, device: Any, folder: Path, *, hold_file: Path) -> Sampler:
            return Sampler(
                request, device, folder, clock=ups.now, sleep=ups.sleep, hold_file=hold_file
            )

        self.patch.setattr(measuring, "Sampler", with_clock)
        return run_test(kind, "ups1", ups, folder=self.folder, spool=self.spool, **more)

    def alarms(self) -> list[str]:
        return [f"{one.topic}: {one.text}" for one in waiting(self.spool)]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_quick_test_that_shows_and_comes_back_is_proof_of_life(host: Host) -> None:
    outcome = host.test(PaperUps())

    assert outcome.passed
    assert outcome.shown_seconds == pytest.approx(1, abs=1)
    assert outcome.back_seconds == pytest.approx(10, abs=2)
    assert outcome.result == "Done and passed"
    assert host.alarms() == []


def test_a_link_that_is_frozen_is_an_alarm(host: Host) -> None:
    ups = PaperUps()
    frozen = ups.variables()
    ups.says = lambda _values: frozen

    outcome = host.test(ups)

    assert not outcome.passed
    assert "did not show within 60 s" in host.alarms()[0]


def test_a_test_that_does_not_come_back_is_an_alarm(host: Host) -> None:
    assert host.test(PaperUps(quick_seconds=500)).back_seconds is None
    assert "did not come back" in host.alarms()[0]


def test_a_slow_link_shows_the_result_alone(host: Host) -> None:
    assert host.test(PaperUps(shows_test=False)).passed
    # the same words as last week, and no date: nothing was shown
    assert not host.test(PaperUps(shows_test=False, told="Done and passed")).passed


@pytest.mark.parametrize("result", ["Done and error", "done and failed", "NG", "BT"])
def test_a_failed_test_asks_for_a_new_battery(host: Host, result: str) -> None:
    assert host.test(PaperUps(result=result)).failed
    assert "replace the battery" in host.alarms()[0]


def test_a_test_that_was_not_carried_out_is_no_failed_battery(host: Host) -> None:
    outcome = host.test(PaperUps(result="Aborted"))

    assert (outcome.failed, outcome.passed) == (False, False)
    assert "was not carried out" in host.alarms()[0]


def test_a_calibration_is_not_left_to_upsmon(host: Host) -> None:
    assert host.test(PaperUps(test_words="OL CAL")).passed
    assert (host.folder / CAL_FILE).exists()
    assert "restart nut-monitor" in host.alarms()[0]


def test_a_deep_test_that_nobody_attends_ends_early(host: Host) -> None:
    ups = PaperUps(capacity=200)

    outcome = host.test(ups, "deep", stop_charge=50)

    assert outcome.passed
    assert ups.left > 0.45
    assert outcome.estimate_seconds == pytest.approx(200, rel=0.05)
    assert ups.sent == ["test.battery.start.deep", "test.battery.stop"]

    host.timer(60)
    slow = PaperUps(capacity=1000)
    host.test(slow, "deep", stop_charge=50)
    assert slow.left == pytest.approx(0.97, abs=0.01)  # 30 s before the timer


def test_a_battery_that_is_low_before_that_failed(host: Host) -> None:
    outcome = host.test(PaperUps(capacity=200, low_at=0.8), "deep", stop_charge=50)

    assert outcome.low
    assert "replace the battery" in host.alarms()[0]


@pytest.mark.parametrize("value", ["runtime", "charge"])
def test_a_deep_test_that_nobody_attends_never_shuts_the_site_down(host: Host, value: str) -> None:
    """Thresholds of ours stand above what is left: the battery carries less than was measured."""
    low = {"runtime": "400", "charge": "70"}[value]
    ups = PaperUps(capacity=600)
    seen = list[float]()

    def says(values: dict[str, str]) -> dict[str, str]:
        if values["ups.status"].startswith("OB"):
            seen.append(float(values[f"battery.{value}"]))
        return values | {"driver.flag.ignorelb": "enabled", f"battery.{value}.low": low}

    ups.says = says
    outcome = host.test(ups, "deep", stop_charge=50)

    assert ups.sent == ["test.battery.start.deep", "test.battery.stop"]
    assert min(seen) > float(low)
    assert outcome.low
    assert "replace the battery" in host.alarms()[0]


def test_a_test_that_must_not_begin_is_made_later(host: Host) -> None:
    with pytest.raises(LaterError, match="not on line"):
        host.test(PaperUps(mains=False))
    assert host.alarms() == []
    assert outcomes(host.folder, "ups1") == []


def test_a_test_that_is_not_offered_is_not_offered_later(host: Host) -> None:
    with pytest.raises(CheckError, match="offers no quick test"):
        host.test(PaperUps(offers=()))


def test_outcomes_are_kept_and_cut_short(host: Host) -> None:
    outcome = host.test(PaperUps())
    for number in range(battery.KEPT + 3):
        keep(host.folder, "ups1", replace(outcome, at=float(number)))

    kept = outcomes(host.folder, "ups1")

    assert len(kept) == battery.KEPT
    assert kept[-1].at == battery.KEPT + 2
    (host.folder / "ups1.tests.json").write_text("[{]")
    assert outcomes(host.folder, "ups1") == []
