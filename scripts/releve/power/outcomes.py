"""How each guest ended at the last stop of the host: clean, hard-stopped, or cut.

Told by Proxmox VE's own records, which are still there after the boot. Hard-stopped is never
called clean: whoever used up all of its time counts as stopped by force, whatever its task says.
Standard library only.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power import tasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

KINDS = {"qmshutdown": "qemu", "vzshutdown": "lxc"}
STOPPING = re.compile(r"Stopping (?:VM|CT) (\d+) \(timeout = (\d+) seconds\)")
# What qemu-server's _do_vm_stop warns when the guest did not go by itself.
FORCED = re.compile(r"terminating now with SIG(?:TERM|KILL)")
PAUSED = "VM is paused - stop instead of shutdown"
SAME_STOP = 7200.0  # seconds from the note of a stop within which its last `stopall` begins
STARTS = {"qmstart", "vzstart", "qmresume", "vzresume"}
# After these a guest does not run here any more, or it was a new one that never did.
ENDS = {*KINDS, "qmstop", "vzstop", "qmigrate", "vzmigrate", "qmdestroy", "vzdestroy"}
RESULT = re.compile(r"TASK (?:OK|WARNINGS: \d+|ERROR: (?P<error>.*))")


class End(enum.StrEnum):
    """How a guest ended."""

    CLEAN = "clean"
    HARD = "hard-stopped"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Stop:
    """One guest's end; `seconds` from its power button until its task was over, None: no task."""

    vmid: int
    end: End
    why: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is left of one guest's stop: its task's lines and how long the task took."""

    vmid: int
    lines: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What `stopall` wrote of one guest: the time it granted, and whether it was paused."""

    limit: int
    paused: bool = False


def asked_of(lines: Iterable[str]) -> dict[int, Asked]:
    """Return guest -> what `stopall` asked of it, from the lines of its task's log."""
    asked: dict[int, Asked] = {}
    vmid = None
    for line in lines:
        if found := STOPPING.search(line):
            vmid = int(found[1])
            asked[vmid] = Asked(int(found[2]))
        elif PAUSED in line and vmid is not None:
            asked[vmid] = Asked(asked[vmid].limit, paused=True)
    return asked


def judge(record: Record, asked: Asked | None) -> Stop:
    """Return how the guest of one record ended; `asked` None: no `stopall` is known."""
    end, why = _judge(record, asked)
    return Stop(record.vmid, end, why, round(record.seconds, 1))


def _judge(record: Record, asked: Asked | None) -> tuple[End, str]:
    result = next((found for line in record.lines if (found := RESULT.match(line.strip()))), None)
    forced = next((line.strip() for line in record.lines if FORCED.search(line)), None)
    if result is None:
        return End.CUT, "its task has no end: the power or the host went first"
    if forced:
        return End.HARD, forced
    if result["error"] is not None:
        return End.CUT, f"Proxmox VE did not stop it: {result['error']}"
    if asked is not None and asked.paused:
        return End.HARD, "it was paused, and was ended as it stood"
    if asked is not None and record.seconds >= asked.limit:
        return End.HARD, f"it took {record.seconds:.0f} s of the {asked.limit} s that it had"
    return End.CLEAN, ""


def outcomes(
    records: Iterable[Record], asked: dict[int, Asked], were_running: Iterable[int]
) -> list[Stop]:
    """Return one end for each guest that ran, in the order of their numbers.

    A guest that ran and has no record was cut. Of several records the last counts: what was
    refused at first may have been stopped later.
    """
    ends = {vmid: Stop(vmid, End.CUT, "nobody asked it to stop") for vmid in were_running}
    for vmid in asked:
        ends[vmid] = Stop(vmid, End.CUT, "asked to stop, but no task of it is left")
    for record in records:
        ends[record.vmid] = judge(record, asked.get(record.vmid))
    return [ends[vmid] for vmid in sorted(ends)]


def last(folder: Path, were_running: Iterable[int] = (), begun: float | None = None) -> list[Stop]:
    """Return the ends at the newest stop of the records in `folder`; empty without a `stopall`.

    `begun` is when the host began to stop, if that was noted: a second `stopall` of the same stop
    is told from the stop of another day by it. When a task ended is the time of its log's last
    line: the index may get its time only after the boot.
    """
    known = known_tasks(folder)
    wholes = sorted(
        (task for task in known.values() if task.kind == "stopall"), key=lambda task: task.started
    )
    if not wholes:
        return []
    since, newest = float(wholes[-1].started), wholes[-1]
    if begun is not None and 0 <= newest.started - begun <= SAME_STOP:
        since = math.floor(begun)
    asked: dict[int, Asked] = {}
    for whole in wholes:
        if whole.started >= since:
            asked |= asked_of(tasks.read(folder / whole.log).splitlines())
    # Nothing that somebody stops by hand after the boot is of this stop.
    until = newest.started + _seconds(folder, newest) + 2
    records = [
        Record(int(task.id), tasks.read(folder / task.log).splitlines(), _seconds(folder, task))
        for task in sorted(known.values(), key=lambda task: task.started)
        if task.kind in KINDS and task.id.isdigit() and since <= task.started <= until
    ]
    return outcomes(records, asked, were_running)


def _seconds(folder: Path, task: tasks.Task) -> float:
    try:
        return max(0.0, (folder / task.log).stat().st_mtime - task.started)
    except OSError:
        return 0.0


def started(folder: Path, since: float, until: float) -> list[int]:
    """Return the guests that were started in that time and not stopped since, by their tasks.

    Who ended by itself, without Proxmox VE, cannot be told from who still ran.
    """
    last_word: dict[int, str] = {}
    for task in sorted(known_tasks(folder).values(), key=lambda task: (task.started, task.pid)):
        if since <= task.started < until and task.id.isdigit() and task.kind in STARTS | ENDS:
            last_word[int(task.id)] = task.kind
    return sorted(vmid for vmid, kind in last_word.items() if kind in STARTS)


def known_tasks(folder: Path) -> dict[str, tasks.Task]:
    """Return UPID -> task of all that Proxmox VE still lists."""
    return {
        task.upid: task
        for name in ("index.1", "index", "active")
        for task in tasks.listed(tasks.read(folder / name))
    }
