"""The promises, and what the evidence makes of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.drills.evidence import COMMISSIONING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.drills.report.read import Record


def mark(text: str) -> str:
    """Mark a text for translation; it is translated where it is shown."""
    return text


class State(enum.Enum):
    """What is known of a promise after a run."""

    FAILED = "failed"
    PROVED = "proved"
    PARTLY = "partly"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise to the town, and the evidence that it rests on.

    `short` completes "not tried in this run: ...". `also` is evidence that speaks for it where
    there is some: without, nothing is missing, and alone it proves a part. `against` proves
    nothing by itself, and breaks the promise where a check in it failed.
    """

    id: str
    title: str
    short: str
    text: str
    evidence: tuple[str, ...]
    also: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


PROMISES = (
    Promise(
        "provision",
        mark("The new server"),
        mark("the new server"),
        mark(
            "The new server is set up from a written description, and can be set up again at any "
            "time with the same result."
        ),
        ("provision",),
    ),
    Promise(
        "migrate",
        mark("The move"),
        mark("the move"),
        mark(
            "The services leave the old server while people work; they stop for a moment only, "
            "and nothing that was recorded is lost."
        ),
        ("survey", "migrate"),
    ),
    Promise(
        "ups",
        mark("The power cut"),
        mark("the power cut"),
        mark(
            "When the mains fail, everything stops in good order before the battery is empty, and "
            "comes back by itself."
        ),
        ("power",),
        ("power-0", "power-1", "power-2", "power-4"),
        ("batteries",),
    ),
    Promise(
        "vault",
        mark("The safe copies"),
        mark("the safe copies"),
        mark(
            "Each service has a copy that nobody at the town hall can read, alter or delete, not "
            "even with every password of the site."
        ),
        ("copy",),
    ),
    Promise(
        "restore",
        mark("The return"),
        mark("the return from a copy"),
        mark(
            "A service that is destroyed comes back from its copy, in a time that was measured, "
            "with what the copy held."
        ),
        ("restore",),
    ),
    Promise(
        "ledger",
        mark("The accounts"),
        mark("the accounts"),
        mark(
            "What was bought, what it cost and what is still to come can be told at any time, to "
            "the cent."
        ),
        ("ledger",),
    ),
)
# In the order of a run, which is also the order of the table of checks.
EVIDENCE = tuple(
    dict.fromkeys(
        (
            *("survey", "provision", "migrate"),
            *("power-0", "power-1", "power-2", "power", "power-4", "batteries"),
            *("copy", "restore"),
            *(
                name
                for promise in PROMISES
                for name in (*promise.evidence, *promise.also, *promise.against)
            ),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A promise with its state and the evidence files behind it, in the promise's order."""

    promise: Promise
    state: State
    records: tuple[Record, ...]

    @property
    def untried(self) -> tuple[str, ...]:
        """The evidence of this promise that this run did not gather."""
        return tuple(record.name for record in self.records if record.missing)


@dataclass(frozen=True, slots=True)
class Judgement:
    """All promises, and the state of the run as a whole."""

    promises: tuple[Judged, ...]

    def of(self, *states: State) -> tuple[Judged, ...]:
        """Return the promises in one of these states."""
        return tuple(one for one in self.promises if one.state in states)

    @property
    def state(self) -> State:
        """FAILED if any failed, UNTRIED if nothing was tried, PROVED only if all six are."""
        if self.of(State.FAILED):
            return State.FAILED
        if len(self.of(State.PROVED)) == len(self.promises):
            return State.PROVED
        return State.PARTLY if self.of(State.PROVED, State.PARTLY) else State.UNTRIED


def judge(records: Mapping[str, Record]) -> Judgement:
    """Judge every promise by its evidence."""
    judged = []
    for promise in PROMISES:
        mine = tuple(records[name] for name in promise.evidence)
        also = tuple(records[name] for name in promise.also if not records[name].missing)
        against = tuple(records[name] for name in promise.against if not records[name].missing)
        broken = any(not record.passed for record in against)
        state = State.FAILED if broken else _state(mine, also)
        judged.append(Judged(promise, state, mine + also + against))
    return Judgement(tuple(judged))


def _state(records: tuple[Record, ...], also: tuple[Record, ...]) -> State:
    if any(not record.missing and not record.passed for record in records + also):
        return State.FAILED
    if all(record.passed for record in records):
        return State.PARTLY if any(map(is_commissioning, records)) else State.PROVED
    return State.PARTLY if any(record.passed for record in records + also) else State.UNTRIED


def is_commissioning(record: Record) -> bool:
    """Tell whether what passed rests on a UPS that was never measured."""
    checks = record.content.checks if record.content else ()
    return any(check.value == COMMISSIONING for check in checks)
