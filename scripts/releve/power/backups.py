"""Before a host's guests stop: end running backups and see to it that none is locked.

`stopall` passes a locked guest by, and the guest runs until it is cut. PVE's own
`vzdump -stop` (first ExecStop of pve-guests.service) knows one backup, the one that has the global
lock: one that waits for that lock begins when the first has ended, and locks its first guest just
before `stopall` comes. Runs at every stop of the host, as that ExecStop does. Standard library
only; tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from releve.power import guests, tasks
from releve.power.stop_history import NOTE, note, this_life
from releve.power.stops import LAST_ACT, LOCKS, Handling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from releve.power.guests import Live
    from releve.power.tasks import Task

DEADLINE = 30  # seconds, LAST_ACT of them for the locks; the budget counts them
LOOK = 0.5
PIDFILE = Path("/run/vzdump.pid")  # UPID of the backup that has the global lock
LOG = logging.getLogger("abort-backups")


class Host(Protocol):
    """What is looked at and done; the tests have one of their own."""

    def up(self) -> list[Live]:
        """Return the guests that run, as their files have them now."""

    def running(self) -> list[Task]:
        """Return the tasks whose processes live."""

    def holder(self, live: Live) -> int | None:
        """Return the process that works on a guest's configuration, None: nobody does."""

    def first(self) -> str:
        """Return the UPID of the backup that has the global lock, or nothing."""

    def send(self, task: Task, number: signal.Signals) -> None:
        """Send a task's process a signal; SIGKILL to its whole group."""

    def run(self, commands: Iterable[Sequence[str]], limit: float) -> list[str]:
        """Run commands side by side; return one line for each that failed or is not over."""

    def now(self) -> float:
        """Return the Unix time."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(slots=True)
class Done:
    """What was found and done; `named` is what a person has to know, one sentence each."""

    at: float
    running: list[int] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


def abort_backups(host: Host, deadline: float = DEADLINE) -> Done:
    """End the backups, wait for whatever else locks a running guest, take stale locks away."""
    begun = host.now()
    done = Done(begun, [live.vmid for live in host.up()])
    while host.now() < begun + deadline - LAST_ACT:
        alive = host.running()
        _interrupt(host, alive, done)
        if not _in_the_way(host, alive):
            break
        host.sleep(LOOK)
    _finish(host, done)
    return done


def _backups(alive: Iterable[Task]) -> list[Task]:
    return [task for task in alive if task.kind == "vzdump"]


def _interrupt(host: Host, alive: list[Task], done: Done) -> None:
    """Interrupt each backup once, those that wait for the lock first."""
    first = host.first()
    for task in sorted(_backups(alive), key=lambda task: task.upid == first):
        if task.upid not in done.aborted:
            done.aborted.append(task.upid)
            LOG.info("backup %s is ended", task.upid)
            host.send(task, signal.SIGTERM)


def _in_the_way(host: Host, alive: list[Task]) -> bool:
    """Tell whether waiting may help: something that works on a running guest."""
    busy = tasks.worked_on(alive)
    return bool(_backups(alive)) or any(
        (live.lock is not None and str(live.vmid) in busy) or host.holder(live) is not None
        for live in host.up()
    )


def _finish(host: Host, done: Done) -> None:
    """End what has not ended, take the locks away that are left, name what stays."""
    for task in _backups(host.running()):
        done.killed.append(task.upid)
        done.named.append(f"backup {task.upid} did not end when it was asked to: killed")
        host.send(task, signal.SIGKILL)
    busy = tasks.worked_on(task for task in host.running() if task.kind != "vzdump")
    commands: list[list[str]] = []
    for live in host.up():
        holder = host.holder(live)
        if holder is not None:
            done.named.append(
                f"{live.guest.name} ({live.vmid}): process {holder or 'of another namespace'} "
                "still works on its configuration; Proxmox VE waits 10 s for it, then leaves the "
                "guest running"
            )
        if live.lock is not None:
            _see_to(live, str(live.vmid) in busy, done, commands)
    done.named.extend(host.run(commands, LAST_ACT - 1))
    for sentence in done.named:
        LOG.warning("%s", sentence)


def _see_to(live: Live, at_work: bool, done: Done, commands: list[list[str]]) -> None:
    """Decide about one running guest with a lock."""
    what = f"{live.guest.name} ({live.vmid}) is locked ({live.lock})"
    tool = "qm" if live.guest.kind == "qemu" else "pct"
    handling = LOCKS.get(live.lock or "", Handling.RELEASE)
    if handling is Handling.WAIT and at_work:
        done.named.append(f"{what} and still at it: it is cut unless that ends in time")
        return
    if handling is not Handling.ABORT:
        state = "its task still runs" if at_work else "no task of it runs"
        done.named.append(f"{what}, {state}: the lock is taken away so that it stops in its turn")
    if handling is Handling.ABORT and live.agent and done.killed:
        # A backup that was killed while the guest's filesystems were frozen leaves them so, and
        # a frozen guest does not take the word to shut down.
        commands.append(["qm", "guest", "cmd", str(live.vmid), "fsfreeze-thaw"])
    done.released.append(live.vmid)
    commands.append([tool, "unlock", str(live.vmid)])


class ThisHost:
    """The real host."""

    def __init__(self) -> None:
        """Take the time once: a clock that is set meanwhile moves no deadline."""
        self._begun = time.time() - time.monotonic()

    def up(self) -> list[Live]:
        """Look at its files and processes."""
        return [live for live in guests.node_of().guests if live.up]

    def running(self) -> list[Task]:
        """Look at PVE's list of tasks and at the processes."""
        alive = tasks.running()
        first = tasks.task_of(self.first())
        if first and first.upid not in {task.upid for task in alive} and tasks.is_running(first):
            alive.append(first)
        return alive

    def holder(self, live: Live) -> int | None:
        """Look at the kernel's table of locks."""
        return guests.holder_of(guests.lock_file(live), tasks.read(Path("/proc/locks")))

    def first(self) -> str:
        """Read vzdump's own note."""
        return tasks.read(PIDFILE).partition("\n")[0]

    def send(self, task: Task, number: signal.Signals) -> None:
        """Signal the process as `vzdump -stop` does; each task leads a group of its own."""
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(task.pid, number)
            else:
                os.kill(task.pid, number)

    def run(self, commands: Iterable[Sequence[str]], limit: float) -> list[str]:
        """Run PVE's own tools."""
        return run_all(commands, limit)

    def now(self) -> float:
        """Return the time, by a clock that nobody sets."""
        return self._begun + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def run_all(commands: Iterable[Sequence[str]], limit: float) -> list[str]:
    """Run commands side by side, `limit` seconds for all; return a line for each that failed."""
    faults, begun = [], time.monotonic()
    started: list[tuple[Sequence[str], subprocess.Popen[str]]] = []
    for command in commands:
        try:
            process = subprocess.Popen(  # ended below
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            faults.append(f"{' '.join(command)}: {error}")
        else:
            started.append((command, process))
    for command, process in started:
        try:
            _, said = process.communicate(timeout=max(0.1, begun + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()  # and no longer: a child of it may hold the pipe
            faults.append(f"{' '.join(command)}: not over after {limit:g} s")
        else:
            if process.returncode:
                faults.append(f"{' '.join(command)}: {said.strip() or process.returncode}")
    return faults


def main(arguments: list[str]) -> int:
    """End the backups; always 0, since nothing that fails here may keep the host from stopping."""
    parser = argparse.ArgumentParser(prog="power.pyz abort-backups")
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds for all of it")
    parser.add_argument("--record", type=Path, default=NOTE, help="where it is noted")
    parser.add_argument("--check", action="store_true", help="say what would be done, do nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    host = ThisHost()
    if options.check:
        for task in _backups(host.running()):
            LOG.info("backup %s would be ended", task.upid)
        for live in host.up():
            if live.lock or host.holder(live) is not None:
                LOG.info("%s (%s) is locked (%s)", live.guest.name, live.vmid, live.lock or "busy")
        return 0
    done = abort_backups(host, options.deadline)
    try:
        note(options.record, asdict(done) | {"boot": this_life().boot})
    except OSError as error:
        LOG.warning("%s: not noted: %s", options.record, error)
    return 0
