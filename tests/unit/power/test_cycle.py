"""A decision is one-way: on disk first, held whatever the mains do, until its cycle has ended."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from releve.power.cycle import Cycle, Decision, Files, Look, Tier
from releve.power.ladder import Verdict

if TYPE_CHECKING:
    from pathlib import Path

SITE = Tier("site", settle=10, alarm=100)
CARRIED = Tier("site", settle=10, least=30, alarm=100, carried=True)
LOWER = Tier("lower", follows="site", after=20, settle=10, least=5, alarm=100)
CLIENT = frozenset({"198.51.100.13"})
NOBODY: frozenset[str] = frozenset()
NONE = Verdict("none", "the mains are there")
RIDE = Verdict("ride", "runtime carries 60 s")
STOP = Verdict("stop", "runtime carries 20 s, the site needs 30 s", "runtime")


class Bench:
    """One tier with its clock, its files and what it has logged."""

    def __init__(self, tier: Tier, folder: Path, boot: str = "boot-1") -> None:
        """Start the tier's driver."""
        self.files, self.up, self.log = Files(folder), 0.0, list[str]()
        self.cycle = Cycle(tier, self.files, boot, self.log.append)

    def look(  # noqa: PLR0917  # as a line of a timeline
        self,
        verdict: Verdict = NONE,
        on_battery: float = 0,
        logins: frozenset[str] | None = CLIENT,
        silent: float | None = 0,
        passed: float = 1,
        waits: bool = False,
    ) -> str | None:
        self.up += passed
        drained = verdict is not NONE
        wall = "2026-11-30T08:00:00Z"
        return self.cycle.step(
            Look(self.up, wall, verdict, on_battery, drained, silent, logins, waits)
        )


@pytest.fixture
def site(tmp_path: Path) -> Bench:
    return Bench(SITE, tmp_path)


@pytest.fixture
def lower(tmp_path: Path) -> Bench:
    return Bench(LOWER, tmp_path)


def decided(folder: Path, tier: str = "site", boot: str = "boot-1") -> None:
    Files(folder).write(tier, Decision("an-id", "2026-11-30T08:00:00Z", boot, "time on battery"))


def test_without_a_decision_it_says_what_the_ups_says(site: Bench) -> None:
    assert site.look(NONE) == "OL"
    assert site.look(RIDE) == "OB"
    assert site.look(NONE) == "OL"


def test_before_the_ups_was_heard_nothing_is_fresh(site: Bench) -> None:
    assert site.look(NONE, silent=None) is None


def test_a_lost_ups_is_told_after_some_patience_and_only_with_the_mains_there(site: Bench) -> None:
    assert site.look(NONE, silent=30) == "OL"
    assert site.look(NONE, silent=31) is None
    assert site.look(RIDE, silent=31) == "OB"


def test_a_decision_is_on_disk_before_it_is_told(site: Bench, tmp_path: Path) -> None:
    written: list[Decision] = []

    class Slow(Files):
        def write(self, tier: str, decision: Decision) -> None:
            assert site.cycle.decision is None
            written.append(decision)

    site.cycle._store = Slow(tmp_path)

    assert site.look(STOP) == "FSD OB LB"
    assert [one.why for one in written] == [STOP.why]
    assert len(written[0].id) == 32


def test_the_site_s_decision_is_held_whatever_the_mains_do(site: Bench) -> None:
    site.look(STOP)
    seen = {site.look(NONE, logins=NOBODY, passed=60) for _ in range(60)}

    assert seen == {"FSD OB LB"}
    assert sum("ALARM" in line for line in site.log) == 1


def test_a_restart_of_the_driver_holds_it_and_the_next_boot_ends_it(
    site: Bench, tmp_path: Path
) -> None:
    site.look(STOP)
    decision = site.cycle.decision
    assert decision is not None

    again = Bench(SITE, tmp_path)
    assert again.look(NONE, silent=None) == "FSD OB LB"
    assert again.cycle.decision == decision

    booted = Bench(SITE, tmp_path, boot="boot-2")
    assert booted.look(NONE) == "OL"
    assert Files(tmp_path).read("site") is None
    assert decision.id in (tmp_path / "site.last.json").read_text()


def test_a_new_outage_after_the_boot_is_a_new_decision(site: Bench, tmp_path: Path) -> None:
    site.look(STOP)
    first = site.cycle.decision
    booted = Bench(SITE, tmp_path, boot="boot-2")

    assert booted.look(STOP) == "FSD OB LB"
    assert first is not None
    assert booted.cycle.decision is not None
    assert booted.cycle.decision.id != first.id


def test_a_decision_that_cannot_be_written_is_told_all_the_same(
    site: Bench, tmp_path: Path
) -> None:
    site.cycle._store = Files(tmp_path / "no-such-folder")

    assert site.look(STOP) == "FSD OB LB"
    assert any("not on disk" in line for line in site.log)
    assert site.look(NONE) == "FSD OB LB"


def test_a_decision_that_the_disk_takes_later_is_followed_and_held_from_then_on(
    site: Bench, tmp_path: Path
) -> None:
    site.cycle._store = Files(tmp_path / "full")
    site.look(STOP)
    site.look(STOP)
    (tmp_path / "full").mkdir()
    site.look(STOP)
    decision = site.cycle.decision

    assert Bench(LOWER, tmp_path / "full").look(NONE) == "FSD OB LB"
    assert Bench(SITE, tmp_path / "full").cycle.decision == decision
    assert sum("not on disk" in line for line in site.log) == 1


def test_a_decision_that_was_never_on_disk_ends_without_a_word_of_it(tmp_path: Path) -> None:
    lower = Bench(LOWER, tmp_path / "full")
    lower.look(RIDE, on_battery=30)
    for _ in range(20):
        seen = lower.look(NONE, logins=NOBODY)

    assert seen == "OL"
    assert not any("stays on disk" in line for line in lower.log)


def test_a_tier_stops_after_its_own_time(lower: Bench) -> None:
    assert lower.look(RIDE, on_battery=19) == "OB"
    assert lower.look(RIDE, on_battery=20) == "FSD OB LB"


def test_a_tier_follows_the_site_even_with_the_mains_back(lower: Bench, tmp_path: Path) -> None:
    decided(tmp_path)

    assert lower.look(NONE) == "FSD OB LB"
    assert lower.cycle.decision is not None
    assert lower.cycle.decision.why == "follows site: time on battery"
    assert {lower.look(NONE, logins=NOBODY, passed=30) for _ in range(9)} == {"FSD OB LB"}


def test_a_decision_of_the_site_in_an_earlier_boot_binds_nobody(
    lower: Bench, tmp_path: Path
) -> None:
    decided(tmp_path, boot="boot-0")

    assert lower.look(NONE) == "OL"


def test_a_tier_alone_comes_up_when_it_is_empty_and_the_mains_are_steady(lower: Bench) -> None:
    lower.look(RIDE, on_battery=20)
    assert lower.look(NONE, passed=1) == "FSD OB LB"
    assert lower.look(NONE, passed=60) == "FSD OB LB"  # a host is logged in still
    assert lower.look(NONE, logins=None) == "FSD OB LB"  # and this is no answer
    assert lower.look(NONE, logins=NOBODY) == "OL"


@pytest.mark.parametrize(("silent", "seen"), [(0, "OL"), (5, "FSD OB LB")])
def test_steady_mains_are_those_that_are_heard(lower: Bench, silent: float, seen: str) -> None:
    lower.look(RIDE, on_battery=20)
    lower.look(NONE, logins=NOBODY, silent=silent)

    assert lower.look(NONE, logins=NOBODY, silent=silent, passed=10) == seen


def test_mains_that_go_again_start_the_wait_anew(lower: Bench) -> None:
    lower.look(RIDE, on_battery=20)
    lower.look(NONE, logins=NOBODY, passed=1)
    lower.look(RIDE, on_battery=1, logins=NOBODY, passed=5)
    lower.look(NONE, logins=NOBODY, passed=1)

    assert lower.look(NONE, logins=NOBODY, passed=9) == "FSD OB LB"
    assert lower.look(NONE, logins=NOBODY, passed=1) == "OL"


def test_clients_without_a_login_get_their_time(tmp_path: Path) -> None:
    bench = Bench(dataclasses.replace(LOWER, settle=1, least=60), tmp_path)
    bench.look(RIDE, on_battery=20)
    bench.look(NONE, logins=NOBODY)

    assert bench.look(NONE, logins=NOBODY, passed=50) == "FSD OB LB"
    assert bench.look(NONE, logins=NOBODY, passed=10) == "OL"


def test_a_file_that_cannot_be_read_is_no_decision(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text('{"id": "half')

    assert Bench(SITE, tmp_path).look(NONE) == "OL"


def test_a_site_that_another_ups_carries_is_let_up_once_who_had_to_stop_has_stopped(
    tmp_path: Path,
) -> None:
    bench = Bench(CARRIED, tmp_path)
    assert bench.look(STOP) == "FSD OB LB"

    assert bench.look(NONE, logins=None) == "FSD OB LB"
    assert bench.look(NONE, logins=None, passed=28) == "FSD OB LB"  # steady, and not held enough
    assert bench.look(NONE, logins=None, passed=1) == "OL"
    assert bench.files.read("site") is None


def test_a_site_that_nobody_carries_is_held_however_long_the_mains_are_steady(
    tmp_path: Path,
) -> None:
    bench = Bench(SITE, tmp_path)
    bench.look(STOP)

    assert bench.look(NONE, logins=NOBODY) == "FSD OB LB"
    assert bench.look(NONE, logins=NOBODY, passed=5000) == "FSD OB LB"


def test_a_tier_whose_hosts_another_ups_carries_does_not_wait_for_them_to_leave(
    tmp_path: Path,
) -> None:
    bench = Bench(dataclasses.replace(LOWER, carried=True), tmp_path)
    assert bench.look(RIDE, on_battery=25) == "FSD OB LB"

    assert bench.look(NONE, logins=CLIENT) == "FSD OB LB"
    assert bench.look(NONE, logins=CLIENT, passed=10) == "OL"


def test_a_host_that_has_just_booted_waits_for_its_clients_save_at_a_low_battery(
    tmp_path: Path,
) -> None:
    site = Bench(SITE, tmp_path / "site")
    (tmp_path / "site").mkdir()
    assert site.look(STOP, waits=True) == "OB"
    assert site.look(STOP) == "FSD OB LB"

    low = Bench(SITE, tmp_path)
    assert low.look(Verdict("stop", "low battery", "lb"), waits=True) == "FSD OB LB"


def test_a_tier_does_not_wait_once_the_site_is_decided(lower: Bench, tmp_path: Path) -> None:
    decided(tmp_path)

    assert lower.look(RIDE, waits=True) == "FSD OB LB"
