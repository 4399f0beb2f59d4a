"""Processes of the lab outside its hosts: found again and ended by number, start time and run id.

A number alone may belong to somebody else by the time a later run looks at it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN_VARIABLE = "RELEVE_LAB_RUN"


@dataclass(frozen=True, slots=True)
class Mark:
    """Which process: its number, its start time (clock ticks since boot), its lab run."""

    pid: int
    start: int
    run: str

    @property
    def alive(self) -> bool:
        """Whether exactly this process still exists."""
        if start_of(self.pid) != self.start:
            return False
        try:
            environment = Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"{RUN_VARIABLE}={self.run}".encode() in environment

    def end(self, patience: float = 5) -> None:
        """Ask the process to end; after `patience` seconds, end it."""
        for signal_number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            if not self.alive:
                return
            os.kill(self.pid, signal_number)
            _await_end(self.pid, self.start, seconds)


def start_of(pid: int) -> int | None:
    """Return a process's start time in clock ticks since boot, None when it is gone or dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])


def start(name: str, argv: Sequence[str], folder: Path, log: Path, run: str) -> Mark:
    """Start a process that outlives this one; note it in `folder`/NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, RUN_VARIABLE: run},
        )
    mark = Mark(process.pid, start_of(process.pid) or 0, run)
    (folder / f"{name}.json").write_text(json.dumps(asdict(mark)))
    # Popen returns when the program's file is open; its environment shows a moment later.
    deadline = time.monotonic() + 2
    while not mark.alive and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return mark


def noted(folder: Path) -> dict[str, Mark]:
    """Return the processes noted in a folder, by name, alive or not."""
    marks = {}
    for file in sorted(folder.glob("*.json")):
        try:
            marks[file.stem] = Mark(**json.loads(file.read_text()))
        except (ValueError, TypeError):
            # Half written when its run was killed: that process is found by its namespace.
            continue
    return marks


def ancestors() -> set[int]:
    """Return this process, its parent, and so on up to the first one."""
    pid, found = os.getpid(), set()
    while pid > 0:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def naming(text: str) -> list[int]:
    """Return the processes, without our own line, that have `text` in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid not in ancestors()]


def end_all(pids: Sequence[int]) -> None:
    """End processes at once; the caller knows that they are the lab's."""
    starts = {pid: started for pid in pids if (started := start_of(pid)) is not None}
    for pid in starts:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid, started in starts.items():
        _await_end(pid, started, 5)


def _await_end(pid: int, started: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while start_of(pid) == started and time.monotonic() < deadline:
        time.sleep(0.02)
