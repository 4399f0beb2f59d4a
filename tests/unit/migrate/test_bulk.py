"""Guests move side by side: in the order of their needs, and what is left for a person is named."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from releve.errors import LaterError
from releve.migrate.display import Display, JsonLines, summary
from releve.migrate.errors import GateError, MigrateError
from releve.migrate.forecast import forecast
from releve.migrate.host_turn import HostTurn
from releve.migrate.runs import Result, Turns
from releve.town import Town, load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab"
MIB = 1 << 20


@pytest.fixture
def town() -> Town:
    return load_town(LAB)


def test_a_guest_waits_for_what_it_needs(town: Town) -> None:
    turns = Turns(town, ["compta", "dossiers"], 2)
    stopped: list[str] = []

    def dossiers() -> None:
        turns.turn("dossiers").wait()
        stopped.append("dossiers")

    thread = threading.Thread(target=dossiers)
    thread.start()
    turns.turn("compta").wait()
    stopped.append("compta")
    turns.turn("compta").settle()
    thread.join(timeout=10)

    assert stopped == ["compta", "dossiers"]


def test_a_guest_whose_need_did_not_move_goes_on_at_its_source(town: Town) -> None:
    turns = Turns(town, ["compta", "dossiers"], 2)
    turns.settle("compta", moved=False)

    with pytest.raises(LaterError, match="dossiers: it needs compta, which did not move"):
        turns.wait("dossiers")


def test_a_need_that_is_not_moved_now_is_not_waited_for(town: Town) -> None:
    Turns(town, ["dossiers"], 1).wait("dossiers")


def test_no_more_guests_than_allowed_are_copied_from_one_host(town: Town) -> None:
    turns = Turns(town, ["compta", "dossiers"], 1)

    with turns.turn("compta").slot():
        assert not turns.slot("dossiers").acquire(blocking=False)
    assert turns.slot("dossiers").acquire(blocking=False)


def test_one_word_at_a_time_reaches_a_host(tmp_path: Path) -> None:
    first, second = HostTurn("old", tmp_path), HostTurn("old", tmp_path)
    first.take()
    first.take()
    taken = threading.Event()

    def other() -> None:
        second.take()
        taken.set()
        second.give()

    thread = threading.Thread(target=other)
    thread.start()
    first.give()
    assert not taken.wait(0.05), "it was given once only"
    first.give()
    thread.join(timeout=10)

    assert taken.is_set()


def test_the_summary_names_what_needs_a_person() -> None:
    lines = summary(
        [
            Result("compta", "audited"),
            Result("dossiers", "began", MigrateError("dossiers: its disk cannot be read")),
            Result("web", "started", GateError("web: gate-http-1")),
        ]
    )

    assert lines[0].split()[:3] == ["compta", "audited", "nothing;"]
    assert "NEEDS YOU: dossiers: its disk cannot be read" in lines[1]
    assert "CHOOSE: web: gate-http-1" in lines[2]


def test_progress_of_all_is_one_line() -> None:
    lines: list[str] = []
    clock = iter(range(100, 1000, 10))
    display = Display(lines.append, lambda: float(next(clock)))
    for read in (0, 10 * MIB):
        for guest in ("dossiers", "compta"):
            display.hear(
                guest,
                {
                    "event": "progress",
                    "stage": "seed",
                    "disk": "vda",
                    "read": read,
                    "todo": 20 * MIB,
                },
            )

    assert lines[-1].startswith("compta: seed vda 50 % at ")
    assert " | dossiers: seed vda 50 % at " in lines[-1]


def test_events_are_lines_of_json() -> None:
    lines: list[str] = []

    JsonLines(lines.append).hear("compta", {"event": "moved", "at": "now"})

    assert json.loads(lines[0]) == {"guest": "compta", "event": "moved", "at": "now"}


def test_a_forecast_follows_from_what_was_measured() -> None:
    events = [
        {"event": "seeded", "read": 1000 * MIB, "seconds": 10.0},
        {"event": "round-done", "read": MIB, "seconds": 0.51},
    ]

    found = forecast(events, 50 * MIB)

    assert found.rate == 100 * MIB
    assert found.seconds == pytest.approx(0.5 + 0.5)


def test_a_forecast_without_a_measurement_promises_little() -> None:
    assert forecast([], 100 * MIB).seconds == pytest.approx(11)
