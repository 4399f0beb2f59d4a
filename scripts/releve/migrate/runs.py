"""Run the migration of several guests side by side, and leave one file of evidence.

Guests are copied at once, as many as the old host's line may carry; they are stopped one after
the other, those that others need first. What one guest meets does not stop those that do not need
it; what is left for a person is named at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import BlocksError
from releve.drills.evidence import Evidence
from releve.errors import LaterError, ReleveError
from releve.migrate.bandwidth import share
from releve.migrate.errors import GateError, MigrateError
from releve.migrate.migration import Migration, Place
from releve.migrate.patience import Patience
from releve.migrate.plan import Terms, order, permit
from releve.migrate.preflight.gather import Gatherer
from releve.migrate.record import OVER, Record, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from releve.blocks.schedule import Schedule
    from releve.migrate.preflight.facts import Facts
    from releve.town import Town

EVIDENCE = Path("build/evidence")
MOVED = {"moved", "audited", "retired"}
INTERRUPTED = 130
TELLING = {
    "run-began": "run began",
    "source-lost": "source lost: {why}",
    "seed-began": "seed began",
    "seeded": "seed ended",
    "round-began": "round {number} began",
    "round-done": "round {number} ended",
    "target-read": "target read back",
    "waits": "waits for the word",
    "cutover-began": "cutover began",
    "power-button": "power button",
    "guest-off": "guest off",
    "last-delta": "last delta moved",
    "verified": "target verified",
    "fenced": "source fenced",
    "target-started": "target started",
    "answers": "guest answers",
    "cutover-aborted": "cutover aborted: {why}",
    "source-returned": "guest goes on at its source",
    "moved": "moved",
    "audit-began": "audit of the source began",
    "audited": "source audited",
    "rollback-began": "rollback began",
    "rolled-back": "rolled back",
    "retired": "source retired",
}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a person wants of a run.

    `bandwidth` limits what all seeds take of one old host's line, in MiB/s or by the hours of the
    week (nothing: what the town file allows), `parallel` the guests copied at once from one old
    host (0: what the town file says). `hear` is told every event, and
    progress as event `progress`. Each guest whose move begins is planned first with the waivers
    `waive` (words like `copy-fresh=reason`), or held to the frozen `plan`; a refused one is not
    touched. `gather` gives its facts; left out, the hosts are asked.
    """

    bandwidth: str = ""
    hold: bool = False
    parallel: int = 0
    patience: Patience = field(default_factory=Patience)
    hear: Callable[[str, dict[str, Any]], None] | None = None
    waive: Sequence[str] = ()
    plan: Mapping[str, Any] | None = None
    gather: Callable[[str], Facts] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How far one guest came; `error` is what keeps it there, None when it is done."""

    guest: str
    stage: str
    error: ReleveError | None = None

    @property
    def shut_gate(self) -> bool:
        """Whether it works on its node, but not as before: somebody must choose."""
        return isinstance(self.error, GateError)


class Turns:
    """Who may be copied and stopped, and when, of guests that move side by side."""

    def __init__(self, town: Town, names: Sequence[str], parallel: int) -> None:
        """`parallel` guests at most are copied from one old host at once."""
        self._town = town
        self._settled = {name: threading.Event() for name in names}
        self._moved: set[str] = set()
        hosts = {town.guests[name].source for name in names}
        self._slots = {host: threading.Semaphore(parallel) for host in hosts}

    def turn(self, name: str) -> Turn:
        """Return the place of one guest."""
        return Turn(self, name)

    def slot(self, name: str) -> threading.Semaphore:
        """Return the places of a guest's old host."""
        return self._slots[self._town.guests[name].source]

    def wait(self, name: str) -> None:
        """Return when all that a guest needs has moved; raises LaterError when that failed."""
        for need in self._town.guests[name].needs:
            if need not in self._settled:
                continue
            self._settled[need].wait()
            if need not in self._moved:
                message = f"{name}: it needs {need}, which did not move; it goes on at its source"
                raise LaterError(message)

    def settle(self, name: str, *, moved: bool) -> None:
        """Let those go on that need this guest."""
        if moved:
            self._moved.add(name)
        self._settled[name].set()


class Turn(Place):
    """The place of one guest among others."""

    def __init__(self, turns: Turns, name: str) -> None:
        """Keep whose place it is."""
        self._turns, self._name = turns, name

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """See `Place`."""
        with self._turns.slot(self._name):
            yield

    def wait(self) -> None:
        """See `Place`."""
        self._turns.wait(self._name)

    def settle(self) -> None:
        """See `Place`."""
        self._turns.settle(self._name, moved=True)


def run_guests(
    town: Town, names: Sequence[str], say: Callable[[str], None], orders: Orders | None = None
) -> tuple[Evidence, list[Result]]:
    """Move guests, and return the evidence and how far each came, in the order of their needs.

    The evidence is written whatever happens.
    """
    orders = orders or Orders()
    chosen = order(town, names)
    parallel = orders.parallel or town.migrate.parallel
    limit = share(town, chosen, orders.bandwidth, parallel)
    gather = orders.gather or Gatherer(town, chosen).facts
    orders = dataclasses.replace(orders, gather=gather)
    turns = Turns(town, chosen, parallel)
    with Evidence("migrate", EVIDENCE) as evidence:
        lock = threading.Lock()

        def one(name: str) -> Result:
            record = None
            try:
                record = Record(name, hear=orders.hear)
                return _run_guest(town, record, say, orders, place=turns.turn(name), limit=limit)
            except ReleveError as error:
                return Result(name, "busy", error)
            finally:
                moved = record is not None and record.stage in MOVED
                turns.settle(name, moved=moved)
                if record is not None:
                    with lock:
                        tell(evidence, name, record.events)
                        evidence.hash(record.folder / "journal.jsonl")
                    record.close()

        results = _side_by_side(one, chosen)
        for result in results:
            if result.error is not None:
                evidence.check(f"{result.guest}.completed", passed=False, note=str(result.error))
    return evidence, results


def _side_by_side(one: Callable[[str], Result], names: Sequence[str]) -> list[Result]:
    if len(names) == 1:
        return [one(names[0])]
    with ThreadPoolExecutor(len(names) or 1) as pool:
        try:
            return list(pool.map(one, names))
        except KeyboardInterrupt:
            # Threads cannot be interrupted; what a killed run leaves is made for the next one.
            os._exit(INTERRUPTED)


def _run_guest(
    town: Town,
    record: Record,
    say: Callable[[str], None],
    orders: Orders,
    *,
    place: Place,
    limit: Schedule,
) -> Result:
    name = record.guest
    try:
        if record.stage in OVER:
            terms = Terms(orders.waive, bandwidth=str(limit))
            record.permit = permit(town, name, terms, orders.plan, orders.gather)
        Migration(town, name, record, say, limit, orders.hold, orders.patience, place).go_on()
    except ReleveError as error:
        return Result(name, record.stage, error)
    except BlocksError as error:
        return Result(name, record.stage, MigrateError(f"{name}: {error}"))
    return Result(name, record.stage)


def tell(evidence: Evidence, name: str, events: list[dict[str, Any]]) -> None:
    """Put what a guest's journal says into the evidence."""
    for event in events:
        if event["event"] in TELLING:
            evidence.event(name, TELLING[event["event"]].format(**event), event["at"])
        if "preflight" in event:
            waived = "; ".join(f"{id_}: {why}" for id_, why in event["waived"].items())
            evidence.check(f"{name}.preflight", passed=True, value=event["preflight"], note=waived)
    for check in verdicts(events):
        evidence.check(
            f"{name}.{check['id']}",
            check["passed"],
            check["value"],
            unit=check.get("unit", ""),
            limit=check.get("limit"),
            note=check.get("note", ""),
        )
