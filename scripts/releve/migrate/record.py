"""What one guest's migration did so far: its journal, its stage, and its checks.

Everything is derived from the journal, so a run that was killed at any line goes on from there,
and the evidence of a resumed run is as whole as that of a run that was never cut.
"""

from __future__ import annotations

import fcntl
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks.journal import Journal, read
from releve.migrate import faults
from releve.migrate.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path("build/migrate")
STAGE_OF = {
    "run-began": "began",
    "epoch-began": "began",
    "seeded": "seeded",
    "cutover-began": "cutover",
    "cutover-aborted": "seeded",
    "source-returned": "began",
    "verified": "verified",
    "fenced": "fenced",
    "target-started": "started",
    "moved": "moved",
    "audited": "audited",
    "retired": "retired",
    "rollback-began": "rolling-back",
    "rolled-back": "rolled-back",
}
OVER = {"none", "rolled-back"}  # no run is under way


class Record:
    """The open journal of one guest; the lock is held until `close`."""

    def __init__(
        self, guest: str, folder: Path = FOLDER, hear: Callable[..., None] | None = None
    ) -> None:
        """Open and lock `folder/guest/`; `hear(guest, event)` is told each event as it is noted.

        Raises BusyError when another run has it.
        """
        self.guest = guest
        self.permit: dict[str, Any] = {}
        self._hear = hear
        self.folder = folder / guest
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"{guest}: another run is at work on it; `releve migrate status {guest}`"
            raise BusyError(message) from error
        path = self.folder / "journal.jsonl"
        self._events = read(path)
        self._journal = Journal(path)

    def note(self, event: str, **fields: Any) -> None:  # noqa: ANN401  # JSON values
        """Append an event; it is durable when this returns."""
        noted = self._journal.add(event, **fields)
        self._events.append(noted)
        if self._hear is not None:
            self._hear(self.guest, noted)
        faults.die_after(event)

    def check(self, name: str, passed: bool, value: Any = None, **more: Any) -> bool:  # noqa: ANN401
        """Note one verdict (see drills.evidence.Check) and return it."""
        self.note("check", id=name, passed=bool(passed), value=value, **more)
        return bool(passed)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of the present run, oldest first."""
        return run_events(self._events)

    @property
    def stage(self) -> str:
        """How far the present run is; "none" before the first one."""
        return stage_of(self.events)

    @property
    def run(self) -> str:
        """The id of the present run."""
        return str(self.events[0]["run"])

    @property
    def epoch(self) -> int:
        """Counts from zero, within the run, how often the record of writes began."""
        return sum(event["event"] == "epoch-began" for event in self.events)

    @property
    def label(self) -> str:
        """Run and epoch as one word, for bitmaps."""
        return f"{self.run}.{self.epoch}"

    @property
    def afresh(self) -> bool:
        """Whether the present epoch believes nothing that an earlier one copied."""
        began = self.last("epoch-began")
        return began is None or bool(began.get("afresh", True))

    @property
    def manifest(self) -> str:
        """Run and last epoch that began afresh as one word: a manifest of another one is void."""
        fresh = [e for e in self.events if e["event"] == "epoch-began" and e.get("afresh", True)]
        return f"{self.run}.{fresh[-1]['number'] if fresh else 0}"

    @property
    def distrusted(self) -> bool:
        """Whether what was copied since the last fresh beginning was found to be wrong."""
        for event in reversed(self.events):
            if event["event"] == "distrusted":
                return True
            if event["event"] == "epoch-began" and event.get("afresh", True):
                return False
        return False

    def begin(self) -> bool:
        """Begin a new run unless one is under way; say whether it is a new one.

        `permit` is what its plan said (see plan.permit).
        """
        if self.stage not in OVER:
            return False
        self.note("run-began", run=secrets.token_hex(4), guest=self.guest, **self.permit)
        return True

    def last(self, name: str) -> dict[str, Any] | None:
        """Return the newest event of that name in the present run."""
        return next((event for event in reversed(self.events) if event["event"] == name), None)

    def rounds(self) -> int:
        """Return how many rounds of the present epoch are done."""
        return sum(event["event"] == "round-done" for event in self.since("epoch-began"))

    def since(self, name: str) -> list[dict[str, Any]]:
        """Return the events of the run after the newest one of that name."""
        events = self.events
        for index in range(len(events) - 1, -1, -1):
            if events[index]["event"] == name:
                return events[index + 1 :]
        return []

    def earlier_runs(self) -> dict[str, set[str]]:
        """Return the runs of this guest that were rolled back: what they made may be cleared.

        Of each the paths of its volumes, none when it was killed before it noted them.
        """
        made: dict[str, set[str]] = {}
        run = ""
        for event in self._events:
            if event["event"] == "run-began":
                run = str(event["run"])
                made.setdefault(run, set())
            elif event["event"] == "volumes":
                made[run] |= set(map(str, event["paths"].values()))
        if self.stage not in OVER:
            made.pop(self.run, None)
        return made

    def progress(self, fields: dict[str, Any]) -> None:
        """Replace the progress file that `status` reads."""
        part = self.folder / "progress.json.part"
        part.write_text(json.dumps(fields), encoding="utf-8")
        part.replace(self.folder / "progress.json")
        if self._hear is not None:
            self._hear(self.guest, {"event": "progress", **fields})

    def close(self) -> None:
        """Let go of the journal and the lock."""
        self._journal.close()
        self._lock.close()


def runs_of(guest: str, folder: Path = FOLDER) -> set[str]:
    """Return the ids of all runs that this workstation made for a guest."""
    events = read(folder / guest / "journal.jsonl")
    return {str(event["run"]) for event in events if event["event"] == "run-began"}


def run_events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events from the newest `run-began` on."""
    for index in range(len(events) - 1, -1, -1):
        if events[index]["event"] == "run-began":
            return events[index:]
    return []


def stage_of(events: list[dict[str, Any]]) -> str:
    """Return the stage that the newest telling event stands for."""
    return next(
        (STAGE_OF[event["event"]] for event in reversed(events) if event["event"] in STAGE_OF),
        "none",
    )


def verdicts(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the newest verdict of each check, in the order they were first made."""
    newest = {event["id"]: event for event in events if event["event"] == "check"}
    yield from newest.values()
