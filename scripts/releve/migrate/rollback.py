"""The way back: the guest works at its source again, as it was when it stopped there."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from releve.migrate.migration import Migration
from releve.migrate.proof import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.record import Record
    from releve.town import Town

AFTER_FENCE = {"fenced", "started", "moved"}


def seconds_at_risk(record: Record) -> float | None:
    """Return how long the target has been taking writes; None when it never started."""
    started = record.last("target-started")
    if started is None:
        return None
    begin = datetime.datetime.fromisoformat(started["at"])
    return (datetime.datetime.now(tz=datetime.UTC) - begin).total_seconds()


def roll_back(town: Town, name: str, record: Record, say: Callable[[str], None]) -> None:
    """Stop the target, then start the source; the target's volumes stay until the next run.

    In this order there are never two machines with one hardware address. Idempotent: a rollback
    that was cut short is finished by the next one.
    """
    migration = Migration(town, name, record, say)
    record.note("rollback-began", stage=record.stage)
    if migration.target.running():
        say(f"{name}: stopping it on {migration.node.host}")
        migration.target.stop(migration.guest.stop_seconds)
    record.note("target-stopped")
    if record.last("cutover-began"):
        say(f"{name}: starting it at {migration.source.host}")
        migration.source.unfence(mark_of(migration))
        migration.source.start()
    migration.source.close()
    record.note("rolled-back")
    say(f"{name}: works at {migration.source.host} again")
