"""The way back: the guest works at its source again, as it was when it stopped there."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from releve import witness
from releve.errors import InputError, RefusedError, ReleveError
from releve.migrate.listener import address_of
from releve.migrate.proof import mark_of
from releve.migrate.record import OVER

if TYPE_CHECKING:
    from releve.migrate.migration import Migration
    from releve.migrate.record import Record
    from releve.town import Town

ASK_SECONDS = 2.0


def loss(town: Town, name: str, record: Record) -> str:
    """Say what a rollback gives up: how long the target took writes, and how many it told of."""
    started = record.last("target-started")
    if started is None:
        return "no write is lost: it never worked on the target"
    begin = datetime.datetime.fromisoformat(started["at"])
    stopped = record.last("target-stopped")
    after = stopped is not None and stopped["at"] > started["at"]
    end = datetime.datetime.fromisoformat(stopped["at"]) if stopped and after else _now()
    seconds = (end - begin).total_seconds()
    return (
        f"what it wrote in {seconds:.0f} s on the target will be lost{_records(town, name, record)}"
    )


def _records(town: Town, name: str, record: Record) -> str:
    """Say how many records the target wrote, when a witness tells it."""
    where, off = address_of(town.guests[name]), record.last("guest-off") or {}
    if where is None or not isinstance(off.get("newest"), int):
        return ""
    try:
        newest = witness.ask(*where, timeout=ASK_SECONDS).newest
    except witness.WitnessError:
        return ""
    return f" ({newest - int(off['newest'])} records)" if newest > int(off["newest"]) else ""


def refuse_rollback(name: str, record: Record) -> None:
    """Raise when there is nothing to go back to."""
    if record.stage in OVER:
        message = f"{name}: no migration is under way; there is nothing to roll back"
        raise InputError(message)
    if record.stage == "retired":
        message = f"{name}: its source was retired; there is no way back but a copy"
        raise RefusedError(message)


def roll_back(migration: Migration, *, node_is_dead: bool = False) -> None:
    """Stop the target, then start the source; the target's volumes stay until the next run.

    In this order there are never two machines with one hardware address. Idempotent: a rollback
    that was cut short is finished by the next one. `node_is_dead` is a person's word that the
    node has no power: it is not asked. Raises RefusedError when it does not answer without that.
    """
    name, record, say = migration.name, migration.record, migration.say
    refuse_rollback(name, record)
    record.note("rollback-began", stage=record.stage)
    if not node_is_dead:
        _stop_target(migration)
    record.note("target-stopped")
    source, by_hand = migration.source, None
    if record.last("cutover-began"):
        say(f"{name}: giving it back to {source.host}")
        source.close()  # whatever still reads its disks at rest
        source.unfence(mark_of(migration))
        by_hand = source.start()
    source.close()
    record.note("rolled-back")
    say(f"{name}: {by_hand}" if by_hand else f"{name}: works at {source.host} again")


def _stop_target(migration: Migration) -> None:
    """Leave the guest on its node off, its cables out, and not to start with the node."""
    name, node = migration.name, migration.node.host
    try:
        if not migration.target.exists(migration.record.run):
            return
        if migration.target.running():
            migration.say(f"{name}: stopping it on {node}")
        migration.target.stop(migration.guest.stop_seconds)
        off = not migration.target.running()
        if off:
            migration.by_root(migration.target.closing())
    except ReleveError as error:
        message = (
            f"{name}: {node} does not say that the guest is off there ({error}); two machines with"
            f" one address would follow. Mend {node}, or cut its power and say --node-is-dead"
            f" {node}; before it gets power again, unplug its network and remove the guest"
        )
        raise RefusedError(message) from error
    if not off:
        message = f"{name}: it still runs on {node}; its source is not started"
        raise RefusedError(message)


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)
