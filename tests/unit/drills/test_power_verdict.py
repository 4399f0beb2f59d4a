"""An unclean stop, a wrong order or a late return fails the drill by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from releve.drills.evidence import Evidence
from releve.drills.mains import PowerEvent
from releve.drills.power_verdict import GuestSeen, PowerSeen, judge
from releve.witness import Record, Status

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000  # 2023-11-14T22:13:20Z


def at(seconds: float) -> str:
    return f"2023-11-14T22:{13 + int(20 + seconds) // 60:02d}:{(20 + seconds) % 60:06.3f}Z"


def event(seconds: float, subject: str, kind: str, clean: bool | None = None) -> PowerEvent:
    return PowerEvent(at(seconds), subject, kind, kind, clean)


def status(**changes: Any) -> Status:
    values: dict[str, Any] = {
        "newest": 100,
        "sum": "aa",
        "chain": "whole",
        "records": 100,
        "boots": 1,
        "unclean": 0,
        "uptime_ms": 5000,
        **changes,
    }
    return Status(**values)


def stopped(seconds: float, kind: int = 3) -> Record:
    return Record(200, "bb", kind, int((START + seconds) * 1000))


def guest(stop: float, *needs: str) -> GuestSeen:
    after = status(newest=300, records=300, boots=2)
    return GuestSeen(needs, status(), 0.0, after, stopped(stop), Record(100, "aa", 2, 0))


@pytest.fixture
def seen() -> PowerSeen:
    whole = PowerSeen("ups1", "pve1", ("nas",))
    whole.guests = {"compta": guest(20), "dossiers": guest(18, "compta")}
    whole.budget = {"capacity": 120, "need": 71}
    whole.words = {"OB": at(1), "FSD": at(8)}
    whole.power = [
        event(0, "mains", "mains-off"),
        event(14, "nas", "halted"),
        event(22, "pve1", "waiting"),
        event(27, "ups1", "output-off"),
        event(27, "pve1", "cut", clean=True),
        event(27, "nas", "cut", clean=True),
        event(30, "mains", "mains-on"),
    ]
    whole.back = {
        part: (20.0, at(50))
        for part in ("host pve1", "host nas", "login nas", "data", "event", "guest compta")
    }
    return whole


def failed(seen: PowerSeen, tmp_path: Path) -> list[str]:
    evidence = Evidence("power", tmp_path)
    judge(seen, evidence)
    return [check.id for check in evidence.checks if not check.passed]


def test_a_cut_as_promised_passes(seen: PowerSeen, tmp_path: Path) -> None:
    assert failed(seen, tmp_path) == []


def test_a_host_that_ran_when_its_power_went_is_named(seen: PowerSeen, tmp_path: Path) -> None:
    seen.power[5] = event(27, "nas", "cut", clean=False)

    assert failed(seen, tmp_path) == ["nas.clean-stop"]


def test_a_host_that_was_never_switched_off_proves_nothing(seen: PowerSeen, tmp_path: Path) -> None:
    del seen.power[4]

    assert failed(seen, tmp_path) == ["pve1.clean-stop"]


def test_a_guest_stopped_by_force_is_named(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["compta"].last = stopped(20, kind=2)

    assert failed(seen, tmp_path) == ["compta.clean-stop"]


def test_a_guest_that_counts_an_unclean_boot_is_named(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["compta"].after = status(newest=300, records=300, boots=2, unclean=1)

    assert failed(seen, tmp_path) == ["compta.clean-stop"]


def test_a_guest_that_never_stopped_proves_nothing(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["compta"].after = status(newest=300, records=300, boots=1)

    assert failed(seen, tmp_path) == ["compta.clean-stop"]


def test_a_guest_that_was_not_there_is_named(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["compta"] = GuestSeen((), None)

    assert failed(seen, tmp_path) == [
        "compta.clean-stop", "compta.whole", "guests.order", "host.last",
    ]  # fmt: skip


def test_a_record_that_was_acknowledged_and_changed_is_named(
    seen: PowerSeen, tmp_path: Path
) -> None:
    seen.guests["dossiers"].kept = Record(100, "other", 2, 0)

    assert failed(seen, tmp_path) == ["dossiers.whole"]


def test_a_guest_that_stops_after_whom_it_needs_is_seen(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["compta"].last = stopped(17)

    assert failed(seen, tmp_path) == ["guests.order"]


def test_the_clock_of_a_guest_is_set_right(seen: PowerSeen, tmp_path: Path) -> None:
    seen.guests["dossiers"].last = stopped(19.5)
    seen.guests["dossiers"].ahead_ms = 900
    seen.guests["compta"].last = stopped(19)

    assert failed(seen, tmp_path) == []


def test_a_host_down_before_its_guests_is_seen(seen: PowerSeen, tmp_path: Path) -> None:
    seen.power[2] = event(19, "pve1", "waiting")

    assert failed(seen, tmp_path) == ["host.last"]


def test_a_client_down_after_the_primary_is_seen(seen: PowerSeen, tmp_path: Path) -> None:
    seen.power[1] = event(24, "nas", "halted")

    assert failed(seen, tmp_path) == ["host.last"]


def test_longer_on_battery_than_it_lasts_is_seen(seen: PowerSeen, tmp_path: Path) -> None:
    seen.budget["capacity"] = 26

    assert failed(seen, tmp_path) == ["time-on-battery", "budget"]


def test_who_does_not_come_back_is_named(seen: PowerSeen, tmp_path: Path) -> None:
    del seen.back["host nas"], seen.back["login nas"]
    seen.missing = ["host nas", "login nas"]

    assert failed(seen, tmp_path) == ["nas.back", "nas.login.back", "all-back"]


def test_a_late_return_is_seen(seen: PowerSeen, tmp_path: Path) -> None:
    seen.back["guest compta"] = (121.0, at(151))

    assert failed(seen, tmp_path) == ["all-back"]


def test_the_timeline_tells_who_stopped_when(seen: PowerSeen, tmp_path: Path) -> None:
    evidence = Evidence("power", tmp_path)
    judge(seen, evidence)

    told = {(one.subject, one.what): one.at for one in evidence.events}
    assert told["dossiers", "stops"] == at(18)
    assert told["ups1", "shutdown begins"] == at(8)
