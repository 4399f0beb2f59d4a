"""The power side's view of a host: running, in NUT's last wait, or down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.lab.ups.machines import Containers, State

if TYPE_CHECKING:
    from pathlib import Path

FIRST, HOOK, SLEEP = 100, 101, 102


def process(proc: Path, pid: int, comm: str, cmdline: str = "", children: str = "") -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(f"{pid} ({comm}) S" + " 0" * 18 + f" {pid * 7} 0\n")
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "cmdline").write_text(cmdline.replace(" ", "\0"))
    (folder / "task" / str(pid) / "children").write_text(children)


def hosts(proc: Path) -> Containers:
    def pid_of(_host: str) -> int | None:
        return FIRST if (proc / str(FIRST)).exists() else None

    return Containers(pid_of, lambda _host: None, lambda _host: None, proc=proc)


def test_a_host_that_waited_never_runs_again_before_it_is_down(tmp_path: Path) -> None:
    machines = hosts(tmp_path)
    process(tmp_path, FIRST, "systemd")
    assert machines.state("pve1") is State.RUNNING

    process(tmp_path, FIRST, "systemd-shutdow", children=str(HOOK))
    assert machines.state("pve1") is State.RUNNING  # it still ends services

    process(tmp_path, HOOK, "sh", "/bin/sh /lib/systemd/system-shutdown/nutshutdown", str(SLEEP))
    process(tmp_path, SLEEP, "sleep")
    assert machines.state("pve1") is State.WAITING

    process(tmp_path, FIRST, "systemd-shutdow")  # the hook is over, the reboot not yet
    assert machines.state("pve1") is State.WAITING

    (tmp_path / str(FIRST)).rename(tmp_path / "gone")
    assert machines.state("pve1") is State.HALTED


def test_a_host_that_is_started_again_runs(tmp_path: Path) -> None:
    machines = hosts(tmp_path)
    process(tmp_path, FIRST, "systemd-shutdow", children=str(HOOK))
    process(tmp_path, HOOK, "sh", "/bin/sh nutshutdown", str(SLEEP))
    process(tmp_path, SLEEP, "sleep")
    assert machines.state("pve1") is State.WAITING
    (tmp_path / str(FIRST)).rename(tmp_path / "gone")
    assert machines.state("pve1") is State.HALTED

    process(tmp_path, FIRST, "systemd")
    assert machines.state("pve1") is State.RUNNING


def test_a_host_that_ends_while_it_is_looked_at_is_down(tmp_path: Path) -> None:
    machines = hosts(tmp_path)
    process(tmp_path, FIRST, "systemd-shutdow", children=str(HOOK))
    process(tmp_path, HOOK, "sh", "/bin/sh nutshutdown", str(SLEEP))
    process(tmp_path, SLEEP, "sleep")
    assert machines.state("pve1") is State.WAITING

    (tmp_path / str(FIRST) / "comm").unlink()  # its stat was read just before

    assert machines.state("pve1") is State.HALTED
