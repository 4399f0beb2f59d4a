"""Evidence: what a stage or a drill saw, in a file that a person can read.

Shape of `build/evidence/NAME.json`: `{name, passed, started, ended, checks: [{id, passed, value,
unit, limit, note}], events: [{at, subject, what}], hashes: {file: sha256}, series: [{subject,
quantity, unit, points: [[at, number], ...]}]}`; times are UTC in ISO 8601. `passed` is derived: at
least one check was made and none failed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

Value = str | int | float | bool | None
# Value of a check that passed on a UPS whose battery nobody has measured: nothing is proved by it.
COMMISSIONING = "commissioning"


def now() -> str:
    """Return the present time in UTC, ISO 8601 with milliseconds and a final Z."""
    moment = datetime.datetime.now(tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its stable id, the verdict, and the measured value."""

    id: str
    passed: bool
    value: Value = None
    unit: str = ""
    limit: Value = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, when (UTC, ISO 8601) and to whom."""

    at: str
    subject: str
    what: str


@dataclass(slots=True)
class Series:
    """A quantity that was looked at again and again, as a battery's charge."""

    subject: str
    quantity: str
    unit: str
    points: list[tuple[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class Evidence:
    """Collects checks, events, hashes, series; as a context manager it writes its file at the end.

    An exception inside the block becomes a failed check `completed`, so that a broken run can
    never leave evidence that looks whole.
    """

    name: str
    folder: Path
    started: str = field(default_factory=now)
    ended: str = ""
    checks: list[Check] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def path(self) -> Path:
        """The file that is written at the end."""
        return self.folder / f"{self.name}.json"

    def check(
        self,
        id_: str,
        passed: bool,
        value: Value = None,
        *,
        unit: str = "",
        limit: Value = None,
        note: str = "",
    ) -> bool:
        """Note one verdict and return it."""
        self.checks.append(Check(id_, bool(passed), value, unit, limit, note))
        return bool(passed)

    def event(self, subject: str, what: str, at: str | None = None) -> None:
        """Note that `what` happened to `subject`, now or at the given time."""
        self.events.append(Event(at or now(), subject, what))

    def sample(self, subject: str, quantity: str, value: float, unit: str, at: str) -> None:
        """Note one value of a quantity, at the given time."""
        for one in self.series:
            if (one.subject, one.quantity) == (subject, quantity):
                one.points.append((at, value))
                return
        self.series.append(Series(subject, quantity, unit, [(at, value)]))

    def hash(self, file: Path) -> None:
        """Note the SHA-256 of a file that belongs to this evidence."""
        with file.open("rb") as stream:
            self.hashes[str(file)] = hashlib.file_digest(stream, "sha256").hexdigest()

    def write(self) -> Path:
        """Write the file whole or not at all, and return its path."""
        self.ended = now()
        content = {
            "name": self.name,
            "passed": self.passed,
            "started": self.started,
            "ended": self.ended,
            "checks": [asdict(check) for check in self.checks],
            "events": [asdict(event) for event in sorted(self.events, key=lambda one: one.at)],
            "hashes": self.hashes,
            "series": [asdict(one) for one in self.series],
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".json.part")
        with part.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, ensure_ascii=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.path)
        return self.path

    def __enter__(self) -> Self:
        """Remove the evidence of an earlier run: from here on only this run may be believed."""
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the file, with a failed check when the block did not end by itself."""
        if error is not None:
            self.check("completed", passed=False, note=f"{type(error).__name__}: {error}")
        self.write()
