"""What is asked after the move: is the source fenced, and has the guest all it acknowledged?"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from releve import witness
from releve.command import run
from releve.migrate.errors import GateError, MigrateError
from releve.migrate.listener import address_of
from releve.migrate.record import verdicts

if TYPE_CHECKING:
    from releve.migrate.migration import Migration
    from releve.migrate.sources.base import Mark

ANSWER_SECONDS = 120
DOWNTIME_LIMIT = 120  # seconds; the lab's guests boot in an emulated processor


def mark_of(migration: Migration) -> Mark:
    """Return what the journal says of the fence."""
    began = migration.record.last("cutover-began")
    if began is None:
        message = f"{migration.name}: there was no cutover"
        raise MigrateError(message)
    return dict(began["mark"])


def check_fence(migration: Migration) -> None:
    """Note whether the guest can start at its source; raises MigrateError when it can."""
    record = migration.record
    if not record.check("source-fenced", migration.source.fenced(mark_of(migration))):
        if record.stage == "fenced":  # it works there again: what was copied is old
            record.note("source-returned", why="it was defined at its source again")
        message = (
            f"{migration.name}: source-fenced: {migration.source.host} has the guest again;"
            f" somebody defined it there. It was not started on {migration.node.host}"
        )
        raise MigrateError(message)


def ask_target(migration: Migration) -> None:
    """Check the started guest: its chain, what it acknowledged, its address, its downtime."""
    record = migration.record
    off = record.last("guest-off") or {}
    address = address_of(migration.guest)
    told = ""
    if address is not None:
        status = _await_witness(migration, address)
        if record.last("answers") is None:
            record.note("answers", newest=status.newest, boots=status.boots)
        record.check("chain-whole", status.whole, status.chain)
        told = status.mac
        if not off.get("unheard"):  # else nothing is known that it could be compared with
            limit = unclean_at_most(off, status)
            record.check("unclean", status.unclean <= limit, status.unclean, limit=limit)
            _check_records(migration, address, off)
        _check_downtime(migration, off)
    _check_macs(migration, told)
    check_fence(migration)
    if bad := [check["id"] for check in verdicts(record.events) if not check["passed"]]:
        message = (
            f"{migration.name}: {bad[0]}: see build/evidence/migrate.json;"
            f" `releve migrate rollback {migration.name}` is the way back"
        )
        raise GateError(message)


def unclean_at_most(off: dict[str, Any], status: witness.Status) -> int:
    """Return how many unclean stops a guest may tell of, from what it told before its power-off.

    Its first boot on the node is a clean one. What follows, say a power cut of the node, is not
    the move's fault, and no reason to go back.
    """
    before, first = int(off.get("unclean", 0)), int(off.get("boots", status.boots - 1)) + 1
    return before + max(0, status.boots - first)


def _await_witness(migration: Migration, address: tuple[str, int]) -> witness.Status:
    try:
        status = witness.await_answer(*address, seconds=ANSWER_SECONDS)
    except witness.WitnessError as error:
        migration.record.check("answers", passed=False, note=str(error))
        message = (
            f"{migration.name}: started on {migration.node.host}, and does not answer ({error});"
            f" look at its console. `releve migrate rollback {migration.name}` is the way back"
        )
        raise GateError(message) from error
    migration.record.check("answers", passed=True)
    return status


def _check_records(migration: Migration, address: tuple[str, int], off: dict[str, Any]) -> None:
    """Compare the newest record acknowledged before the power-off with what the disk has now."""
    newest = off.get("newest")
    if not isinstance(newest, int):
        migration.record.check("no-record-lost", passed=False, note="nothing was acknowledged")
        return
    kept = witness.record(*address, newest)
    migration.record.check(
        "no-record-lost",
        kept is not None and kept.sum == off["sum"],
        newest,
        unit="records",
        note="missing" if kept is None else f"sum {kept.sum}, acknowledged {off['sum']}",
    )


def _check_downtime(migration: Migration, off: dict[str, object]) -> None:
    answers = migration.record.last("answers") or {}
    begin, end = off.get("last_answer"), answers.get("at")
    if begin and end:
        seconds = (
            datetime.datetime.fromisoformat(str(end)) - datetime.datetime.fromisoformat(str(begin))
        ).total_seconds()
        migration.record.check(
            "downtime", seconds <= DOWNTIME_LIMIT, round(seconds, 2), unit="s", limit=DOWNTIME_LIMIT
        )


def _check_macs(migration: Migration, told: str) -> None:
    """Compare the target's addresses with the town file's, what ARP says and the guest itself."""
    nics = migration.guest.nics
    found = migration.target.macs()
    seen = {str(nic.address): _neighbour(str(nic.address)) for nic in nics if nic.address}
    heard = {told, *seen.values()} - {""}
    right = found == tuple(nic.mac for nic in nics) and heard <= set(found)
    note = "; ".join(f"{ip} answers as {mac or 'nobody here'}" for ip, mac in seen.items())
    migration.record.check("mac-kept", right, ",".join(found), note=note)


def _neighbour(address: str) -> str:
    """Return the hardware address that this machine's ARP table has, "" for none."""
    words = run(["ip", "neigh", "show", address], timeout=10).stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""
