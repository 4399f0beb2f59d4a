"""Run the migration of several guests, one after the other, and leave one file of evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import BlocksError
from releve.drills.evidence import Evidence
from releve.migrate.errors import MigrateError
from releve.migrate.migration import Migration
from releve.migrate.plan import order, refuse_impossible
from releve.migrate.record import Record, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from releve.town import Town

EVIDENCE = Path("build/evidence")
TELLING = {
    "run-began": "run began",
    "seed-began": "seed began",
    "seeded": "seed ended",
    "round-began": "round {number} began",
    "round-done": "round {number} ended",
    "cutover-began": "cutover began",
    "power-button": "power button",
    "guest-off": "guest off",
    "last-delta": "last delta moved",
    "verified": "target and source verified",
    "fenced": "source fenced",
    "target-started": "target started",
    "answers": "guest answers",
    "cutover-aborted": "cutover aborted: {why}",
    "source-returned": "guest goes on at its source",
    "moved": "moved",
}


def run_guests(
    town: Town,
    names: Sequence[str],
    say: Callable[[str], None],
    bandwidth: float = 0,
    *,
    hold: bool = False,
) -> Evidence:
    """Move guests in the order of their needs; stop at the first that fails.

    With `hold` they are left verified, fenced and off, for others to look at (see Migration).

    The evidence is written whatever happens. Raises ReleveError for the guest that failed.
    """
    chosen = order(town, names)
    with Evidence("migrate", EVIDENCE) as evidence:
        for name in chosen:
            record = Record(name)
            try:
                if record.stage in {"none", "rolled-back"}:
                    refuse_impossible(town, name)
                Migration(town, name, record, say, bandwidth, hold).go_on()
            except BlocksError as error:
                raise MigrateError(f"{name}: {error}") from error
            finally:
                tell(evidence, name, record.events)
                evidence.hash(record.folder / "journal.jsonl")
                record.close()
    return evidence


def tell(evidence: Evidence, name: str, events: list[dict[str, Any]]) -> None:
    """Put what a guest's journal says into the evidence."""
    for event in events:
        if event["event"] in TELLING:
            evidence.event(name, TELLING[event["event"]].format(**event), event["at"])
    for check in verdicts(events):
        evidence.check(
            f"{name}.{check['id']}",
            check["passed"],
            check["value"],
            unit=check.get("unit", ""),
            limit=check.get("limit"),
            note=check.get("note", ""),
        )
