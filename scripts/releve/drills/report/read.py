"""Read evidence files and believe only their checks: a verdict in a file is compared, not taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from releve.drills.report.promises import mark

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

Moment = Annotated[AwareDatetime, Field(strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CheckRead(_Part):
    """One check of an evidence file, as `releve.drills.evidence.Check` wrote it."""

    id: str = Field(min_length=1)
    passed: bool
    value: str | int | float | bool | None = None
    unit: str = ""
    limit: str | int | float | bool | None = None
    note: str = ""


class EventRead(_Part):
    """One event of an evidence file."""

    at: Moment
    subject: str
    what: str


class SeriesRead(_Part):
    """A quantity over time, as a battery's charge."""

    subject: str
    quantity: str
    unit: str
    points: tuple[Annotated[tuple[Moment, float], Field(strict=False)], ...] = Field(strict=False)


class EvidenceRead(_Part):
    """A whole evidence file."""

    name: str
    passed: bool
    started: Moment
    ended: Moment
    checks: tuple[CheckRead, ...] = Field(strict=False)
    events: tuple[EventRead, ...] = Field(strict=False)
    hashes: dict[str, str]
    series: tuple[SeriesRead, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ended < self.started:
            message = "it ends before it starts"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file that the evidence hashed: `state` is same, changed or gone, seen from here."""

    path: str
    sha256: str
    state: str


@dataclass(frozen=True, slots=True)
class Record:
    """One evidence file: its content, or why there is none.

    `faults` are reasons not to believe the file; any makes it failed.
    """

    name: str
    path: Path
    sha256: str = ""
    content: EvidenceRead | None = None
    faults: tuple[str, ...] = ()
    files: tuple[HashedFile, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether no such file was found."""
        return not self.sha256 and not self.faults

    @property
    def passed(self) -> bool:
        """Whether the file can be believed, holds checks, and none of them failed."""
        return (
            self.content is not None
            and not self.faults
            and bool(self.content.checks)
            and all(check.passed for check in self.content.checks)
        )

    @property
    def failed_checks(self) -> tuple[CheckRead, ...]:
        """The checks that did not pass."""
        checks = self.content.checks if self.content else ()
        return tuple(check for check in checks if not check.passed)


def read_records(folder: Path, names: Iterable[str]) -> dict[str, Record]:
    """Return the named evidence files of a folder, also the missing and the broken ones."""
    return {name: read_record(folder / f"{name}.json") for name in names}


def read_record(path: Path) -> Record:
    """Return one evidence file; never raises: what is wrong with it is part of the answer."""
    name = path.stem
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Record(name, path)
    except OSError as error:
        return Record(name, path, faults=(f"it cannot be read: {error.strerror}",))
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        content = EvidenceRead.model_validate(json.loads(data))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        return Record(name, path, sha256, faults=(f"it is not JSON: {error}",))
    except ValidationError as error:
        return Record(name, path, sha256, faults=tuple(map(_fault, error.errors())))
    return Record(name, path, sha256, content, _doubts(name, content), _hashed(content))


def _fault(detail: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails is a private type
    where = ".".join(str(part) for part in detail["loc"]) or "the whole file"
    return f"{where}: {detail['msg']}"


def _doubts(name: str, content: EvidenceRead) -> tuple[str, ...]:
    """Return what makes a well-formed file unbelievable."""
    doubts = []
    held = bool(content.checks) and all(check.passed for check in content.checks)
    if content.name != name:
        doubts.append(mark("it is the evidence of something else"))
    if not content.checks:
        doubts.append(mark("it holds no check at all"))
    elif content.passed and not held:
        doubts.append(mark("it says that all passed, and a check in it failed"))
    elif held and not content.passed:
        doubts.append(mark("it says that something failed, and no check in it did"))
    return tuple(doubts)


def _hashed(content: EvidenceRead) -> tuple[HashedFile, ...]:
    return tuple(
        HashedFile(path, sha256, _state(Path(path), sha256))
        for path, sha256 in content.hashes.items()
    )


def _state(path: Path, sha256: str) -> str:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "gone"
    return "same" if found == sha256 else "changed"


def span(records: Iterable[Record]) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Return from when to when the evidence was gathered, or None without any."""
    contents = [record.content for record in records if record.content]
    if not contents:
        return None
    return min(one.started for one in contents), max(one.ended for one in contents)
