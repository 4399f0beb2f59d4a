"""Tasks: work that PVE answers with a UPID, whose success only shows in the task's status."""

from __future__ import annotations

import itertools
import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from .place import read_json, write_json
from .refusal import Refusal, bad, denied
from .rights import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .place import Place
    from .rights import Rights

KEPT = 500
UPID = re.compile(
    r"UPID:(?P<node>[^:\s]+):(?P<pid>[0-9A-F]{8}):(?P<pstart>[0-9A-F]{8,9}):"
    r"(?P<starttime>[0-9A-F]{8}):(?P<type>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)
Log = list[str]
logger = logging.getLogger(__name__)


class Tasks:
    """Starts work in threads of this process and keeps its outcome in files."""

    def __init__(self, place: Place) -> None:
        """Close the tasks that an earlier process left open."""
        self.place = place
        self.counter = itertools.count(int(time.monotonic() * 100))
        for path in self._files():
            content = read_json(path, {})
            if content.get("status") == "running":
                write_json(path, content | {"status": "stopped", "exitstatus": "unexpected status"})

    def start(self, kind: str, what: str, user: str, work: Callable[[Log], None]) -> str:
        """Begin `work` and return its UPID at once."""
        now = int(time.time())
        numbers = f"{os.getpid():08X}:{next(self.counter):08X}:{now:08X}"
        upid = f"UPID:{self.place.node}:{numbers}:{kind}:{what}:{user}:"
        self._write(upid, {"status": "running", "log": []})
        threading.Thread(target=self._run, args=(upid, work), daemon=True).start()
        return upid

    def _run(self, upid: str, work: Callable[[Log], None]) -> None:
        log: Log = []
        outcome = "unexpected status"
        try:
            work(log)
            outcome = "OK"
        except Refusal as refusal:
            outcome = refusal.message
        finally:
            log.append("TASK OK" if outcome == "OK" else f"TASK ERROR: {outcome}")
            self._write(upid, {"status": "stopped", "exitstatus": outcome, "log": log})
            logger.info("%s %s", upid, outcome)
            self._forget_oldest()

    def status(self, rights: Rights, upid: str) -> dict[str, Any]:
        """Return what GET tasks/{upid}/status answers."""
        parts, content = self._read(rights, upid)
        numbers = {key: int(parts[key], 16) for key in ("pid", "pstart", "starttime")}
        answer = {key: parts[key] for key in ("node", "type", "id")} | numbers
        answer |= {"upid": upid, "status": content["status"], "user": parts["user"]}
        if content["status"] == "stopped":
            answer["exitstatus"] = content["exitstatus"]
        return answer

    def log(self, rights: Rights, upid: str, start: int, limit: int) -> tuple[list[Any], int]:
        """Return the lines of a task's log and how many there are."""
        lines = self._read(rights, upid)[1]["log"]
        numbered = [{"n": number, "t": line} for number, line in enumerate(lines, 1)]
        return numbered[start : start + limit], len(lines)

    def _read(self, rights: Rights, upid: str) -> tuple[dict[str, str], dict[str, Any]]:
        parts = UPID.fullmatch(upid)
        if parts is None:
            raise bad({"upid": "unable to parse worker upid"})
        content = read_json(self._path(upid), {})
        if not content:
            raise bad({"upid": "no such task"})
        # A user sees the tasks of his tokens, a token only its own.
        mine = rights.caller in {parts["user"], owner_of(parts["user"])}
        if not mine and not rights.has(f"/nodes/{self.place.node}", "Sys.Audit"):
            raise denied()
        return parts.groupdict(), content

    def _path(self, upid: str) -> Path:
        return self.place.tasks / f"{upid.strip(':').replace('/', '_')}.json"

    def _write(self, upid: str, content: dict[str, Any]) -> None:
        write_json(self._path(upid), content)

    def _files(self) -> list[Path]:
        return sorted(self.place.tasks.glob("UPID*.json"), key=lambda path: path.stat().st_mtime)

    def _forget_oldest(self) -> None:
        for path in self._files()[:-KEPT]:
            path.unlink(missing_ok=True)
