"""What a person or a program sees of a run: one line for all guests, or one JSON object an event.

A JSON line is `{guest, at, event, ...}` as in the guest's journal; progress, which no journal
keeps, is the event `progress` with `stage`, `disk`, `read` and `todo` in bytes.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.runs import Result

LINE_SECONDS = 5.0


@dataclass(slots=True)
class Display:
    """Shows progress of all guests in one line, now and then; `hear` is told every event."""

    show: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _rows: dict[str, str] = field(default_factory=dict)
    _marks: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    _shown: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, guest: str, event: dict[str, Any]) -> None:
        """Keep what an event says, and show a line when the last one is old."""
        with self._lock:
            if event["event"] != "progress":
                self._rows.pop(guest, None)
                self._marks.pop(guest, None)
                return
            self._rows[guest] = self._row(guest, event)
            if self.clock() - self._shown >= LINE_SECONDS:
                self._shown = self.clock()
                self.show(" | ".join(self._rows[name] for name in sorted(self._rows)))

    def _row(self, guest: str, event: dict[str, Any]) -> str:
        key, read = f"{event['stage']} {event['disk']}", int(event.get("read", 0))
        mark = self._marks.get(guest)
        if mark is None or mark[0] != key:
            mark = self._marks[guest] = (key, self.clock(), read)
        seconds = self.clock() - mark[1]
        rate = (read - mark[2]) / seconds if seconds > 0 else 0.0
        todo = int(event.get("todo", 0))
        share = f" {100 * read // todo} %" if todo else ""
        left = f", {max(0, todo - read) / rate / 60:.0f} min left" if rate > 0 and todo else ""
        return f"{guest}: {key}{share} at {rate / 2**20:.0f} MiB/s{left}"


@dataclass(slots=True)
class JsonLines:
    """Prints each event as one line of JSON."""

    show: Callable[[str], None]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, guest: str, event: dict[str, Any]) -> None:
        """Print one event."""
        with self._lock:
            self.show(json.dumps({"guest": guest, **event}, ensure_ascii=False))


def summary(results: list[Result]) -> list[str]:
    """Return a line for each guest: how far it came, and what a person has to do."""
    width = max((len(result.guest) for result in results), default=0)
    return [f"{result.guest:{width}}  {result.stage:8}  {need(result)}" for result in results]


def need(result: Result) -> str:
    """Say what a person has to do for a guest."""
    if result.error is not None:
        word = "CHOOSE" if result.shut_gate else "NEEDS YOU"
        return f"{word}: {result.error}"
    return {
        "fenced": f"held; `releve migrate run {result.guest}` starts it on its node",
        "audited": f"nothing; after its soak `releve migrate retire {result.guest}`",
        "retired": "nothing",
    }.get(result.stage, "nothing")
