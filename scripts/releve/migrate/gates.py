"""The gates of a started guest: does it serve on its node as it did at its source?

Each gate is one check of the evidence. The first that stays shut ends the run with GateError: the
guest works on its node, its source is off and fenced, and a person chooses whether to go back.
"""

from __future__ import annotations

import concurrent.futures
import functools
import socket
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from releve import witness
from releve.migrate import faults
from releve.migrate.errors import GateError
from releve.migrate.listener import address_of
from releve.migrate.proof import ask_target, check_fence

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.migration import Migration
    from releve.town.model import Guest

PORTS = (
    21, 22, 25, 53, 80, 88, 110, 111, 135, 139, 143, 389, 443, 445, 465, 514, 515, 587, 631, 636,
    873, 993, 995, 1433, 1521, 2049, 3128, 3306, 3389, 5060, 5432, 5900, 5985, 6379, 8000, 8006,
    8080, 8443, 9100, 10000,
)  # fmt: skip
CONNECT_SECONDS = 1.0
PAUSE_SECONDS = 0.2
MOVED_SECONDS = 10.0  # for a guest that was moved before: it has no boot to finish


def address(guest: Guest) -> str | None:
    """Return where the guest is asked; None when the town file has no address of it."""
    return next((str(nic.address) for nic in guest.nics if nic.address), None)


def open_ports(guest: Guest) -> list[int]:
    """Return which of the usual ports, and of those of the town file, take a connection now."""
    where = address(guest)
    if where is None:
        return []
    ports = sorted({*PORTS, *guest.health.tcp})
    with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
        answers = pool.map(lambda port: listens(where, port), ports)
        return [port for port, answer in zip(ports, answers, strict=True) if answer]


def listens(where: str, port: int) -> bool:
    """Say whether somebody takes a TCP connection there."""
    try:
        with socket.create_connection((where, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def serves(url: str) -> bool:
    """Say whether a page is served: any answer below 400."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # the model says http
            return int(answer.status) < 400  # noqa: PLR2004  # HTTP's own border
    except (urllib.error.URLError, OSError, ValueError):
        return False


def note_ports(migration: Migration) -> None:
    """Note, while the guest still works at its source, which ports it listens on."""
    migration.record.note("baseline", ports=open_ports(migration.guest))


def open_gates(migration: Migration) -> None:
    """Pass all gates of a guest that was just started; raises GateError for the first shut one."""
    guest, record = migration.guest, migration.record
    where = address(guest)
    deadline = time.monotonic() + guest.health.seconds
    if guest.health.agent:
        _pass(migration, "agent", migration.target.agent_answers, deadline)
        migration.target.plug()
    if where is not None:
        for port in guest.health.tcp:
            _pass(migration, f"tcp-{port}", functools.partial(listens, where, port), deadline)
    for number, url in enumerate(guest.health.http, 1):
        _pass(migration, f"http-{number}", functools.partial(serves, url), deadline, note=url)
    ask_target(migration)
    before = set((record.last("baseline") or {"ports": []})["ports"])
    if before:
        _pass(migration, "ports-as-before", lambda: before <= set(open_ports(guest)), deadline)
    if faults.present("health-gate-shut"):
        _pass(migration, "seeded-gate", lambda: False, time.monotonic() + 1)


def _pass(
    migration: Migration, gate: str, opens: Callable[[], bool], deadline: float, note: str = ""
) -> None:
    begin = time.monotonic()
    passed = opens()
    while not passed and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        passed = opens()
    seconds = round(time.monotonic() - begin, 1)
    migration.record.check(f"gate-{gate}", passed, seconds, unit="s", note=note)
    if not passed:
        raise shut(migration, f"gate-{gate}")


def shut(migration: Migration, gate: str) -> GateError:
    """Return the error for a gate that stayed shut."""
    message = (
        f"{migration.name}: {gate}: it works on {migration.node.host}, but not as before; see"
        f" build/evidence/migrate.json; `releve migrate rollback {migration.name}` is the way back"
    )
    return GateError(message)


def check_moved(migration: Migration) -> None:
    """See that a guest that was moved before still works; raises GateError with what is known."""
    record, guest, name = migration.record, migration.guest, migration.name
    moved = record.last("moved") or {"at": "an unknown time"}
    known = f"{name}: moved to {migration.node.host} at {moved['at']}"
    back = f"or go back: `releve migrate rollback {name}`"
    if record.stage == "retired":
        back = "its source was retired: restore a copy if it is lost"
    else:
        check_fence(migration)
    if not migration.target.running():
        message = (
            f"{known}; it does not run there, and its source is off. Start it there"
            f" (`qm start {guest.vmid}`), {back}"
        )
        raise GateError(message)
    where = address_of(guest)
    if where is None:
        migration.say(f"{known}; it runs there")
        return
    try:
        witness.await_answer(*where, seconds=MOVED_SECONDS)
    except witness.WitnessError as error:
        message = (
            f"{known}; it runs there but does not answer ({error}). Look at its console"
            f" (`qm terminal {guest.vmid}`), {back}"
        )
        raise GateError(message) from error
    migration.say(f"{known}; it answers")
