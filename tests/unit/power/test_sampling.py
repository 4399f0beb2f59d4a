"""A test is started once, followed to its end, and taken up again by who comes after a kill."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.discharge import KilledError, PaperUps

from releve.errors import CheckError, ReleveError
from releve.power import sampling
from releve.power.sampling import Journal, Request, Sampler
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.measurement import How


def sampler(ups: PaperUps, folder: Path, how: How = "quick", **more: Any) -> Sampler:
    folder.mkdir(exist_ok=True)
    request = Request("ups1", how, **more)
    return Sampler(
        request, ups, folder, clock=ups.now, sleep=ups.sleep, hold_file=folder / "hold-ups1"
    )


def test_a_quick_test_is_followed_until_it_is_over(tmp_path: Path) -> None:
    ups = PaperUps()

    journal = sampler(ups, tmp_path).run()

    assert ups.sent == ["test.battery.start.quick"]
    assert journal.first("end") == "back"
    readings = Journal.open(tmp_path / "ups1.jsonl").readings()
    assert sum(one.seconds < 0 for one in readings) == sampling.BASELINE_SECONDS
    assert {word for one in readings for word in one.status or ()} == {"OL", "OB", "DISCHRG"}


def test_a_deep_test_ends_by_itself_or_is_stopped(tmp_path: Path) -> None:
    whole, charge, seconds = (PaperUps(capacity=150) for _ in range(3))

    assert sampler(whole, tmp_path / "a", "deep").run().first("stopped") is None
    at_charge = sampler(charge, tmp_path / "b", "deep", stop_charge=60).run()
    at_second = sampler(seconds, tmp_path / "c", "deep", stop_seconds=40).run()

    assert charge.sent == seconds.sent == ["test.battery.start.deep", "test.battery.stop"]
    assert at_charge.samples[-1].charge == pytest.approx(60, abs=2)
    assert at_second.first("stopped") == pytest.approx(40, abs=1)
    assert at_second.first("end") == "back"


def test_who_was_killed_goes_on_and_starts_no_second_test(tmp_path: Path) -> None:
    ups = PaperUps()

    def kill() -> None:
        raise KilledError

    ups.at[9] = kill  # three seconds into the test
    with pytest.raises(KilledError):
        sampler(ups, tmp_path).run()
    with (tmp_path / "ups1.jsonl").open("a") as stream:
        stream.write('{"sample": {"clo')  # as a kill in the middle of a line leaves it

    journal = sampler(ups, tmp_path, "deep").run()  # whatever the second call asks for

    assert ups.sent == ["test.battery.start.quick"]
    assert journal.first("end") == "back"
    seconds = [one.seconds for one in Journal.open(tmp_path / "ups1.jsonl").readings()]
    assert seconds == sorted(seconds)
    assert seconds[-1] - seconds[0] > 15


class Deaf(PaperUps):
    """The process ends when it sends the command."""

    def send(self, command: str) -> None:
        raise KilledError


class Refusing(PaperUps):
    def send(self, command: str) -> None:
        raise CheckError(command)


def test_a_kill_between_the_note_and_the_command_starts_nothing_twice(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        sampler(Deaf(), tmp_path).run()
    ups = PaperUps(clock=1010)

    assert sampler(ups, tmp_path).run().first("end") == "never-shown"
    assert ups.sent == []


def test_a_command_that_is_refused_ends_it(tmp_path: Path) -> None:
    with pytest.raises(CheckError):
        sampler(Refusing(), tmp_path).run()
    assert Journal.open(tmp_path / "ups1.jsonl").first("end") == "refused"


def test_a_test_that_does_not_show_or_does_not_come_back_ends_all_the_same(tmp_path: Path) -> None:
    frozen = PaperUps(shows_test=False)
    stuck = PaperUps(quick_seconds=10_000)

    assert sampler(frozen, tmp_path / "a").run().first("end") == "never-shown"
    assert sampler(stuck, tmp_path / "b").run().first("end") == "not-back"


def test_a_full_disk_leaves_no_deep_test_that_nobody_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps()

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ups.at[30] = lambda: monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sampler(ups, tmp_path, "deep").run()

    assert ups.sent == ["test.battery.start.deep", "test.battery.stop"]


class Away(PaperUps):
    """Hears nothing of a command the first `times`, or says so."""

    def __init__(self, command: str, error: type[ReleveError], times: int) -> None:
        super().__init__(capacity=600)
        self.away, self.error, self.left_out, self.tried = command, error, times, [""]

    def send(self, command: str) -> None:
        self.tried.append(command)
        if command == self.away and self.tried.count(command) <= self.left_out:
            raise self.error(command)
        super().send(command)


@pytest.mark.parametrize("error", [NoAnswerError, CheckError])
def test_the_end_of_a_deep_test_is_asked_for_until_the_ups_has_heard(
    tmp_path: Path, error: type[ReleveError]
) -> None:
    ups = Away("test.battery.stop", error, 3)
    journal = sampler(ups, tmp_path, "deep", stop_seconds=40, unattended=True).run()

    assert ups.tried.count("test.battery.stop") == 4
    assert journal.first("stopped") == pytest.approx(43, abs=1)
    assert journal.first("end") == "back"


def test_a_deep_test_that_may_have_begun_unheard_is_ended(tmp_path: Path) -> None:
    ups = Away("test.battery.start.deep", NoAnswerError, 1)
    with pytest.raises(NoAnswerError):
        sampler(ups, tmp_path, "deep").run()

    assert ups.sent == ["test.battery.stop"]
    assert Journal.open(tmp_path / "ups1.jsonl").first("end") == "refused"


def test_a_journal_that_a_power_cut_has_spoilt_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    journal = sampler(PaperUps(), tmp_path).run()
    with (tmp_path / "ups1.jsonl").open("ab") as stream:
        stream.write(b'\x00\x00\xff\n7\nnull\n"end"\n')

    assert Journal.open(tmp_path / "ups1.jsonl").lines == journal.lines


def test_a_plug_pull_counts_from_the_pull(tmp_path: Path) -> None:
    ups = PaperUps()

    def pull() -> None:
        (tmp_path / "ups1.pulled").write_text(f"{ups.clock}")
        ups.mains = False

    ups.at[30] = pull
    ups.at[90] = lambda: setattr(ups, "mains", True)

    journal = sampler(ups, tmp_path, "plug-pull").run()

    assert ups.sent == []
    assert journal.zero == 1030
    assert journal.first("end") == "back"


def test_a_plug_that_nobody_pulls_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PULL_SECONDS", 60)
    assert sampler(PaperUps(), tmp_path, "plug-pull").run().first("end") == "never-pulled"


def test_the_timer_is_held_only_while_somebody_looks(tmp_path: Path) -> None:
    ups, held = PaperUps(), []
    ups.at[10] = lambda: held.append((tmp_path / "hold-ups1").exists())

    sampler(ups, tmp_path, hold=True).run()

    assert held == [True]
    assert not (tmp_path / "hold-ups1").exists()
    ups.at[int(ups.clock) - 1000 + 10] = lambda: held.append((tmp_path / "hold-ups1").exists())
    sampler(ups, tmp_path).run()
    assert held == [True, False]


def test_silence_is_noted_and_ends_nothing(tmp_path: Path) -> None:
    ups = PaperUps()
    ups.at[8] = lambda: setattr(ups, "silent", True)
    ups.at[13] = lambda: setattr(ups, "silent", False)

    journal = sampler(ups, tmp_path).run()

    assert [one.status for one in journal.samples].count(None) == 5
    assert journal.first("end") == "back"


def test_a_ups_without_tests_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="offers no deep test"):
        sampler(PaperUps(offers=("test.battery.start",)), tmp_path, "deep").run()
    assert not (tmp_path / "ups1.jsonl").exists()


def test_another_life_of_the_host_is_another_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps()

    def kill() -> None:
        raise KilledError

    ups.at[8] = kill
    with pytest.raises(KilledError):
        sampler(ups, tmp_path).run()
    assert Journal.open(tmp_path / "ups1.jsonl").running

    monkeypatch.setattr(sampling, "boot_id", lambda: "another")

    assert not Journal.open(tmp_path / "ups1.jsonl").running
    assert json.loads((tmp_path / "ups1.jsonl").read_text().splitlines()[0])["begin"] == 1000


def test_a_container_that_started_again_is_another_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "stat"
    monkeypatch.setattr(sampling, "FIRST_PROCESS", first)
    fields = "S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0"
    first.write_text(f"1 (my (init) x) {fields} 771 9 9\n")
    before = sampling.boot_id()
    assert sampling.boot_id() == before

    first.write_text(f"1 (my (init) x) {fields} 99771 9 9\n")

    assert sampling.boot_id() != before
