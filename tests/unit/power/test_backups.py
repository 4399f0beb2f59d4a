"""Before the guests stop, backups end and no running guest stays locked without a word."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from releve.power.backups import abort_backups, run_all
from releve.power.guests import Live
from releve.power.rest import STOPALL, stop_rest
from releve.power.stops import Guest
from releve.power.tasks import Task, task_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def task(kind: str, vmid: int | str, pid: int) -> Task:
    found = task_of(f"UPID:pve1:{pid:08X}:0000ABCD:6927F000:{kind}:{vmid}:root@pam:")
    assert found is not None
    return found


def live(vmid: int, lock: str | None = None, kind: str = "qemu", *, agent: bool = False) -> Live:
    return Live(Guest(f"guest{vmid}", 1, 60, vmid, kind), vmid, lock=lock, agent=agent)


@dataclass
class Host:
    """A host whose tasks end some seconds after they are told to (None: never)."""

    guests: list[Live]
    tasks: dict[Task, float | None] = field(default_factory=dict)
    holders: dict[int, float] = field(default_factory=dict)
    first_upid: str = ""
    clock: float = 0.0
    told: dict[str, float] = field(default_factory=dict)
    sent: list[tuple[str, signal.Signals]] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def up(self) -> list[Live]:
        return list(self.guests)

    def running(self) -> list[Task]:
        return [one for one in self.tasks if not self._is_over(one)]

    def _is_over(self, one: Task) -> bool:
        takes, begun = self.tasks[one], self.told.get(one.upid)
        if (one.upid, signal.SIGKILL) in self.sent:
            return True
        if one.kind != "vzdump":
            return takes is not None and self.clock >= takes
        return takes is not None and begun is not None and self.clock >= begun + takes

    def holder(self, one: Live) -> int | None:
        return 4711 if self.clock < self.holders.get(one.vmid, 0) else None

    def first(self) -> str:
        return self.first_upid

    def send(self, one: Task, number: signal.Signals) -> None:
        self.sent.append((one.upid, number))
        self.told.setdefault(one.upid, self.clock)

    def run(self, commands: Iterable[Sequence[str]], limit: float) -> list[str]:
        for command in commands:
            self.commands.append(tuple(command))
            if "unlock" in command:
                self.guests = [
                    replace(one, lock=None) if str(one.vmid) == command[-1] else one
                    for one in self.guests
                ]
            if tuple(command) == STOPALL:
                self.guests = [one for one in self.guests if one.lock]
        return []

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_a_host_without_backups_does_not_wait() -> None:
    host = Host([live(101), live(102)])
    done = abort_backups(host, 30)

    assert host.clock == 0
    assert (done.running, done.aborted, done.named, host.commands) == ([101, 102], [], [], [])


def test_backups_that_wait_end_before_the_one_that_runs() -> None:
    running, waiting = task("vzdump", "", 10), task("vzdump", "", 11)
    host = Host([live(101)], {running: 4.0, waiting: 0.0}, first_upid=running.upid)
    done = abort_backups(host, 30)

    assert host.sent == [(waiting.upid, signal.SIGTERM), (running.upid, signal.SIGTERM)]
    assert host.clock < 5
    assert done.named == []


def test_what_a_backup_leaves_of_its_lock_is_taken_away() -> None:
    backup = task("vzdump", 101, 10)
    host = Host([live(101, "backup"), live(102, "backup", "lxc")], {backup: 1.0})
    done = abort_backups(host, 30)

    assert host.commands == [("qm", "unlock", "101"), ("pct", "unlock", "102")]
    assert (done.released, done.named) == ([101, 102], [])


def test_a_backup_that_does_not_end_is_killed_within_the_deadline() -> None:
    backup = task("vzdump", 101, 10)
    host = Host([live(101, "backup", agent=True)], {backup: None})
    done = abort_backups(host, 30)

    assert 20 <= host.clock <= 30 - 8 + 0.5
    assert (backup.upid, signal.SIGKILL) in host.sent
    # Its filesystems may be frozen still.
    assert ("qm", "guest", "cmd", "101", "fsfreeze-thaw") in host.commands
    assert ("qm", "unlock", "101") in host.commands
    assert "killed" in done.named[0]


def test_a_snapshot_gets_the_time_that_there_is() -> None:
    host = Host([live(101, "snapshot")], {task("qmsnapshot", 101, 10): 6.0})
    done = abort_backups(host, 30)

    assert 6 <= host.clock < 7
    assert host.commands == [("qm", "unlock", "101")]
    assert "guest101 (101) is locked (snapshot), no task of it runs" in done.named[0]


def test_a_move_that_takes_longer_loses_its_lock_and_is_named() -> None:
    host = Host([live(101, "migrate")], {task("qmigrate", 101, 10): None})
    done = abort_backups(host, 30)

    assert host.sent == []
    assert done.released == [101]
    assert "its task still runs" in done.named[0]


def test_a_stale_lock_costs_no_time() -> None:
    host = Host([live(101, "snapshot-delete")])
    done = abort_backups(host, 30)

    assert host.clock == 0
    assert done.released == [101]


def test_a_guest_that_is_being_suspended_is_left_to_it() -> None:
    host = Host([live(101, "suspending")], {task("qmsuspend", 101, 10): None})
    done = abort_backups(host, 30)

    assert (host.commands, done.released) == ([], [])
    assert "it is cut unless that ends in time" in done.named[0]


def test_a_guest_that_still_starts_is_waited_for() -> None:
    host = Host([live(101)], holders={101: 12.0})
    done = abort_backups(host, 30)

    assert 12 <= host.clock < 13
    assert done.named == []


def test_a_configuration_that_stays_busy_is_named_with_its_process() -> None:
    host = Host([live(101)], holders={101: 99.0})
    (sentence,) = abort_backups(host, 30).named

    assert sentence.startswith("guest101 (101): process 4711 still works on its configuration")


def test_nothing_is_asked_again_when_all_have_stopped() -> None:
    host = Host([])

    assert stop_rest(host, workers=3) == []
    assert host.commands == []


def test_guests_that_still_run_are_stopped_once_more() -> None:
    host = Host([live(101, "backup"), live(102)])
    faults = stop_rest(host, workers=3)

    assert host.commands == [("qm", "unlock", "101"), STOPALL]
    assert host.guests == []
    assert faults == []


def test_who_cannot_be_stopped_is_named_as_cut() -> None:
    host = Host([live(101, "suspending")], {task("qmsuspend", 101, 10): None})

    assert stop_rest(host, workers=3)[-1] == "guest101 (101) is cut"


def test_commands_run_side_by_side_and_each_failure_has_a_line() -> None:
    faults = run_all(
        [("true",), ("sh", "-c", "echo no such guest >&2; exit 3"), ("sleep", "9"), ("/nowhere",)],
        0.5,
    )

    assert [fault.partition(":")[0] for fault in faults] == [
        "/nowhere", "sh -c echo no such guest >&2; exit 3", "sleep 9",
    ]  # fmt: skip
    assert faults[1].endswith("no such guest")
    assert faults[2].endswith("not over after 0.5 s")


@pytest.mark.parametrize("console", ["vncproxy", "spiceproxy"])
@pytest.mark.parametrize("lock", ["suspending", "snapshot"])
def test_somebody_who_looks_at_a_guest_does_not_work_on_it(lock: str, console: str) -> None:
    host = Host([live(101, lock)], {task(console, 101, 1): None})

    done = abort_backups(host, 30)

    assert (done.released, host.clock) == ([101], 0)
