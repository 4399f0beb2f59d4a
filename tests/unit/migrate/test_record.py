"""A run that was cut anywhere goes on from what its journal says, and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.drills.evidence import Evidence
from releve.migrate.errors import BusyError
from releve.migrate.record import Record
from releve.migrate.runs import tell
from releve.migrate.status import status

if TYPE_CHECKING:
    from pathlib import Path


def reopened(folder: Path) -> Record:
    return Record("compta", folder)


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([], "began"),
        (["epoch-began", "seed-began"], "began"),
        (["epoch-began", "seeded", "round-done"], "seeded"),
        (["epoch-began", "seeded", "cutover-began"], "cutover"),
        (["epoch-began", "seeded", "cutover-began", "cutover-aborted"], "seeded"),
        (["epoch-began", "seeded", "cutover-began", "source-returned"], "began"),
        (["cutover-began", "verified"], "verified"),
        (["cutover-began", "verified", "fenced", "target-started"], "started"),
    ],
)
def test_the_stage_survives_the_controller(tmp_path: Path, events: list[str], stage: str) -> None:
    record = reopened(tmp_path)
    record.begin()
    for event in events:
        record.note(event)
    record.close()

    again = reopened(tmp_path)

    assert again.stage == stage
    assert not again.begin(), "a run under way was begun a second time"


def test_a_run_after_a_rollback_is_a_new_one_and_may_clear_the_old(tmp_path: Path) -> None:
    record = reopened(tmp_path)
    record.begin()
    first = record.run
    record.note("rolled-back")

    assert record.begin()
    assert record.run != first
    assert record.earlier_runs() == {first: set()}


def test_a_new_epoch_counts_its_rounds_from_zero(tmp_path: Path) -> None:
    record = reopened(tmp_path)
    record.begin()
    for event in ("epoch-began", "seeded", "round-done", "round-done"):
        record.note(event)
    assert (record.epoch, record.rounds()) == (1, 2)

    record.note("epoch-began")

    assert (record.epoch, record.rounds()) == (2, 0)
    assert record.label == f"{record.run}.2"
    assert record.stage == "began"


def test_a_second_run_for_the_same_guest_is_refused(tmp_path: Path) -> None:
    record = reopened(tmp_path)

    with pytest.raises(BusyError, match="another run"):
        reopened(tmp_path)
    record.close()


def test_the_evidence_holds_the_newest_verdict_of_each_check(tmp_path: Path) -> None:
    record = reopened(tmp_path)
    record.begin()
    record.check("target-equals-manifest", passed=False, note="3 blocks")
    record.check("rounds", passed=True, value=1, limit=1)
    record.check("target-equals-manifest", passed=True, value=3072, unit="blocks")
    evidence = Evidence("migrate", tmp_path)

    tell(evidence, "compta", record.events)

    assert [(check.id, check.passed, check.value) for check in evidence.checks] == [
        ("compta.target-equals-manifest", True, 3072),
        ("compta.rounds", True, 1),
    ]
    assert [event.what for event in evidence.events] == ["run began"]


def test_status_names_what_failed_last(tmp_path: Path) -> None:
    record = reopened(tmp_path)
    record.begin()
    record.check("power-off", passed=False)
    record.check("rounds", passed=True)
    record.progress({"stage": "seed", "read": 5})

    found = status("compta", tmp_path)

    assert found["failed"] == ["power-off"]
    assert found["stage"] == "began"
    assert found["progress"] == {"stage": "seed", "read": 5}


def test_a_guest_that_was_never_moved_has_a_status(tmp_path: Path) -> None:
    assert status("compta", tmp_path)["stage"] == "none"
