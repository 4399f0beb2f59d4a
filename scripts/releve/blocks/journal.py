"""An append-only journal: one JSON object a line, each durable before `add` returns."""

from __future__ import annotations

import datetime
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import BlocksError
from releve.blocks.manifest import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


class JournalError(BlocksError):
    """A line in the middle of a journal is not what was written."""

    kind = "journal"


def now() -> str:
    """Return the present time in UTC, ISO 8601 with milliseconds and a final Z."""
    moment = datetime.datetime.now(tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the events of a journal, oldest first; a line torn by a crash is not one of them."""
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]
    events = []
    for number, line in enumerate(whole, 1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            message = f"{path}:{number}: not a line of a journal; it was damaged"
            raise JournalError(message) from error
    return events


class Journal:
    """An open journal; several threads may add to it."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal; cut off what a crash left of a half-written line."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        self._lock = threading.Lock()
        self._stream = path.open("ab")
        whole = path.read_bytes().rfind(b"\n") + 1
        self._stream.truncate(whole)
        self._stream.seek(whole)
        if new:
            sync_folder(path.parent)

    def add(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
        """Append one event and return it; it is durable when this returns."""
        entry = {"at": now(), "event": event, **fields}
        with self._lock:
            self._stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
        return entry

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()
