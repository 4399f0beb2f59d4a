"""The second clock: it calls upssched's script once upssched itself would have, and not before."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from releve.power.backstop import AGAIN, LATE, Backstop, ask_script
from releve.power.errand import Errand
from releve.power.instant import Instant

if TYPE_CHECKING:
    from pathlib import Path

TIMER = 100
CONF = "AT ONBATT {}@localhost START-TIMER on-battery-{} " + f"{TIMER}\n"


class Ended(Errand):
    """A script that ends after some seconds of the outage's clock."""

    def __init__(self, outage: Outage) -> None:
        self.outage, self.end, self.good = outage, outage.now + outage.takes, outage.good

    def fault(self) -> str | None:
        if self.outage.now < self.end:
            return None
        return "" if self.good else "it ended with code 1"


@dataclasses.dataclass
class Outage:
    """A UPS, a clock, and when the script was called."""

    folder: Path
    now: float = 1000.0
    good: bool = True
    takes: float = 0.0
    installed: bool = True
    called: list[float] = dataclasses.field(default_factory=list)
    backstop: Backstop | None = None

    def ask(self, ups: str) -> Errand:
        assert ups == "ups1"
        self.called.append(self.now)
        if not self.installed:
            raise FileNotFoundError(ups)
        return Ended(self)

    def start(self, ups: str = "ups1") -> Outage:
        (self.folder / "upssched.conf").write_text(CONF.format(ups, ups))
        self.backstop = Backstop(
            "ups1",
            self.folder / "battery-ups1",
            lambda _line: None,
            self.ask,
            now=lambda: Instant(0.0, self.now, "boot"),
            upssched=self.folder / "upssched.conf",
        )
        return self

    def says(self, status: str, seconds: float) -> None:
        assert self.backstop is not None
        until = self.now + seconds
        while self.now < until:
            self.backstop.look(frozenset(status.split()))
            self.now += 1


@pytest.fixture
def outage(tmp_path: Path) -> Outage:
    return Outage(tmp_path).start()


def test_upssched_comes_first_and_the_script_is_called_once(outage: Outage) -> None:
    outage.says("OB DISCHRG", TIMER + LATE)
    assert outage.called == []

    outage.says("OB DISCHRG", 200)
    assert outage.called == [1000 + TIMER + LATE]


@pytest.mark.parametrize("status", ["OL", "OL CHRG", "BOOST", "TRIM"])
def test_mains_that_come_back_end_it(outage: Outage, status: str) -> None:
    outage.says("OB", 90)
    outage.says(status, 1)
    outage.says("OB", TIMER + LATE)
    assert outage.called == []

    outage.says("OB", 1)
    assert len(outage.called) == 1


def test_each_outage_has_its_own_call(outage: Outage) -> None:
    for _ in range(2):
        outage.says("OB", 150)
        outage.says("OL", 5)

    assert len(outage.called) == 2


def test_silence_ends_no_outage(outage: Outage) -> None:
    outage.says("OB", 20)
    outage.says("", 150)

    assert len(outage.called) == 1


def test_silence_begins_none(outage: Outage) -> None:
    outage.says("OL", 5)
    outage.says("", 500)

    assert outage.called == []


def test_both_at_once_begins_no_outage_and_ends_none(outage: Outage) -> None:
    outage.says("OL OB", 500)
    assert outage.called == []

    outage.says("OB", 60)
    outage.says("OB OL", 10)
    outage.says("OB", 50)
    assert len(outage.called) == 1


@pytest.mark.parametrize("status", ["OB FSD", "FSD OB LB"])
def test_a_shutdown_that_goes_on_needs_no_word(outage: Outage, status: str) -> None:
    outage.says("OB", 90)
    outage.says(status, 200)

    assert outage.called == []


def test_a_script_that_fails_is_called_again(outage: Outage) -> None:
    outage.good = False
    outage.says("OB", TIMER + LATE + 2 * AGAIN + 1)
    assert len(outage.called) == 3

    outage.good = True
    outage.says("OB", 100)
    assert len(outage.called) == 4


def test_a_script_that_is_not_there_is_looked_for_again(outage: Outage) -> None:
    outage.installed = False
    outage.says("OB", TIMER + LATE + AGAIN + 1)
    assert len(outage.called) == 2


def test_a_script_that_takes_long_is_called_once_and_again_when_it_has_failed(
    outage: Outage,
) -> None:
    outage.good, outage.takes = False, 60
    outage.says("OB", TIMER + LATE + 60)
    assert len(outage.called) == 1

    outage.says("OB", 1)
    assert len(outage.called) == 2


def test_a_script_of_the_last_outage_stops_no_call_in_the_next(outage: Outage) -> None:
    outage.takes = 300
    outage.says("OB", TIMER + LATE + 1)
    outage.says("OL", 1)
    outage.says("OB", TIMER + LATE + 1)

    assert len(outage.called) == 2


def test_a_restart_in_an_outage_counts_on(outage: Outage) -> None:
    outage.says("OB", 60)
    outage.start().says("OB", 60)

    assert outage.called == [1000 + TIMER + LATE]


def test_what_an_earlier_life_kept_says_nothing_without_the_ups(outage: Outage) -> None:
    outage.says("OB", 60)
    outage.start().says("", 500)
    assert outage.called == []

    outage.says("OL", 1)
    outage.start().says("OB", TIMER)
    assert outage.called == []


def test_a_file_that_is_no_moment_counts_from_now(outage: Outage) -> None:
    (outage.folder / "battery-ups1").write_text("soon\n")
    outage.says("OB", TIMER + LATE)
    assert outage.called == []


def test_a_disk_that_takes_nothing_holds_no_shutdown_up(outage: Outage) -> None:
    outage.folder = outage.folder / "away"
    outage.folder.mkdir()
    outage.start()
    (outage.folder / "battery-ups1").mkdir()
    outage.says("OB", TIMER + LATE + 1)

    assert len(outage.called) == 1


def test_a_ups_without_a_timer_is_left_alone(outage: Outage) -> None:
    outage.start("ups2").says("OB", 1000)

    assert outage.called == []


def test_a_timer_that_the_night_made_shorter_counts_at_once(outage: Outage) -> None:
    outage.says("OB", 60)
    (outage.folder / "upssched.conf").write_text(
        CONF.format("ups1", "ups1").replace(str(TIMER), "30")
    )
    outage.says("OB", 1)

    assert outage.called == [1060]


@pytest.mark.parametrize(("text", "good"), [("exit 0", True), ("exit 1", False), (None, False)])
def test_what_the_script_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, good: bool
) -> None:
    script, said = tmp_path / "power-timer", tmp_path / "said"
    monkeypatch.setattr("releve.power.backstop.POWER_TIMER", str(script))
    if text:
        script.write_text(f'#!/bin/sh\necho "$@" >{said}\n{text}\n')
        script.chmod(0o755)

    if text is None:
        with pytest.raises(FileNotFoundError):
            ask_script("ups1")
        return
    errand = ask_script("ups1")
    until = time.monotonic() + 10
    while (fault := errand.fault()) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert (fault == "") is good
    assert said.read_text() == "on-battery-ups1\n"
