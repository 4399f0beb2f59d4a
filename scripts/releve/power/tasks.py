"""Proxmox VE's own records of its tasks: names, which are running, what they wrote.

Formats of pve-common: PVE/UPID.pm (name and folder of the log), PVE/INotify.pm (file `active`),
PVE/RESTEnvironment.pm (file `index`). Standard library only; nothing is written here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TASKS = Path("/var/log/pve/tasks")
PROC = Path("/proc")
UPID = re.compile(
    r"UPID:(?P<node>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):"
    r"(?P<pstart>[0-9A-Fa-f]{8,9}):(?P<started>[0-9A-Fa-f]{8}):(?P<kind>[^:\s/]+):"
    r"(?P<id>[^:\s/]*):(?P<user>[^:\s/]+):"
)
# Somebody looks at a guest, for hours maybe: the task does nothing to it.
CONSOLES = {"spiceproxy", "vncproxy"}
STARTTIME_FIELD = 19  # of /proc/PID/stat, counted after the command's closing bracket


@dataclass(frozen=True, slots=True)
class Task:
    """One task; `pstart` is its process's start in ticks since boot, `started` Unix seconds."""

    upid: str
    pid: int
    pstart: int
    started: int
    kind: str
    id: str

    @property
    def log(self) -> Path:
        """Its log, relative to the folder of the tasks."""
        return Path(f"{self.started:08X}"[7]) / self.upid


def task_of(upid: str) -> Task | None:
    """Return the task that a UPID names, None for anything else."""
    found = UPID.fullmatch(upid)
    if found is None:
        return None
    return Task(
        upid=upid,
        pid=int(found["pid"], 16),
        pstart=int(found["pstart"], 16),
        started=int(found["started"], 16),
        kind=found["kind"],
        id=found["id"],
    )


def listed(text: str) -> list[Task]:
    """Return the tasks of a file `active` or `index`, in its order, each once."""
    tasks: dict[str, Task] = {}
    for line in text.splitlines():
        task = task_of(line.split(" ", 1)[0])
        if task is not None:
            tasks.setdefault(task.upid, task)
    return list(tasks.values())


def read(file: Path) -> str:
    """Return a file's text, nothing when it is not there or cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def start_ticks(pid: int, proc: Path = PROC) -> int | None:
    """Return when a process that lives began, in ticks since boot; None: there is none."""
    _, _, fields = read(proc / str(pid) / "stat").rpartition(")")
    words = fields.split()
    if len(words) <= STARTTIME_FIELD or words[0] == "Z" or not words[STARTTIME_FIELD].isdigit():
        return None
    return int(words[STARTTIME_FIELD])


def is_running(task: Task, proc: Path = PROC) -> bool:
    """Tell whether the task's own process lives: the number alone may be another's by now."""
    return start_ticks(task.pid, proc) == task.pstart


def running(tasks: Path = TASKS, proc: Path = PROC) -> list[Task]:
    """Return the tasks whose processes live.

    The file may still list one that has ended, and is written only when a task begins.
    """
    return [task for task in listed(read(tasks / "active")) if is_running(task, proc)]


def worked_on(alive: Iterable[Task]) -> set[str]:
    """Return the numbers of the guests that tasks do something to."""
    return {task.id for task in alive if task.kind not in CONSOLES}
