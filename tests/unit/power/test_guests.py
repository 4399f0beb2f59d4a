"""A host's guests are read from its files as Proxmox VE reads them."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from releve.power import tasks
from releve.power.guests import holder_of, is_up, live_of, node_of, startup_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("order=3,up=10,down=60", {"order": 3, "up": 10, "down": 60}),
        ("2", {"order": 2}),
        ("down=60", {"down": 60}),
        ("", {}),
        ("order=any,down=60", {}),
        ("order=1,down=60,", {"order": 1, "down": 60}),
        ("order=1, down=60", {}),
        ("order=1,down=60,wait=1", {}),
        ("order=-1,down=60", {}),
        ("0", {}),
        ("order=0", {"order": 0}),
        ("down=" + "9" * 5000, {"down": 10**18 - 1}),
        ("order=\u0661,down=\u0666", {}),
    ],
)
def test_startup(text: str, found: dict[str, int]) -> None:
    assert startup_of(text) == found


def test_a_machine_with_snapshots() -> None:
    live = live_of(
        "#startup: order=9\nname: compta\nstartup: order=2,down=60\nlock: backup\n"
        "agent: 1,fstrim=1\nhookscript: local:snippets/hook.pl\n[before]\n"
        "lock: snapshot\nstartup: order=7\n",
        "qemu",
        101,
    )

    assert live is not None
    assert (live.guest.name, live.guest.order, live.guest.down) == ("compta", 2, 60)
    assert (live.lock, live.agent, live.hookscript) == ("backup", True, "local:snippets/hook.pl")


def test_a_machine_may_have_its_words_in_quotes() -> None:
    live = live_of('name: "web"\nlock: "backup"\n', "qemu", 101)

    assert live is not None
    assert (live.guest.name, live.lock) == ("web", "backup")


def test_what_only_a_snapshot_has_is_not_the_guests() -> None:
    live = live_of("name: compta\n[before]\nlock: snapshot\nstartup: down=7\n", "qemu", 101)

    assert live is not None
    assert (live.lock, live.guest.down) == (None, None)


@pytest.mark.parametrize(
    ("kind", "text", "order", "down"),
    [
        # By hand, or by a script: of two lines the last counts that can be read.
        ("qemu", "startup: order=1,down=30\nstartup: order=1,down=300\n", 1, 300),
        ("qemu", "startup: order=1,down=300\nstartup: bogus\n", 1, 300),
        ("lxc", "startup: order=1,down=30\nstartup: bogus\n", None, None),
        ("qemu", "startup: order=2,down=50\nstartup:\n", 2, 50),
        ("qemu", "startup: order=2,down=50\nstartup: \n", None, None),
        ("qemu", "startup: order=2,down=50\nstartup: ,\n", None, None),
        ("qemu", "startup: order=2,down=50\n[PENDING]\nstartup: down=1\n", 2, 50),
        ("lxc", "startup: order=2,down=50\n[pve:pending]\nstartup: down=1\n", 2, 50),
        ("qemu", "[special:cloudinit]\nstartup: down=1\n", None, None),
        ("qemu", "[?]\nstartup: down=1\n", None, None),
        # Neither is a section, nor does anything but a line feed end a line.
        ("qemu", "[half\nstartup: order=4,down=70\n", 4, 70),
        ("lxc", "[?]\nstartup: order=4,down=70\n", 4, 70),
        ("qemu", "description: a\x85startup: down=1\nstartup: down=70\n", None, 70),
        ("qemu", "args: -x\u2028startup: down=1\n", None, None),
        ("qemu", "startup: order=1,down=60\r\n", 1, 60),
        ("qemu", "startup:\torder=1,down=20\t\n", 1, 20),
        ("qemu", "  startup: down=1\nStartup: down=1\n#startup: down=1\n", None, None),
    ],
)
def test_lines_count_as_proxmox_ve_reads_them(
    kind: str, text: str, order: int | None, down: int | None
) -> None:
    live = live_of(text, kind, 101)

    assert live is not None
    assert (live.guest.order, live.guest.down) == (order, down)


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("1", True),
        ("enabled=1,fstrim_cloned_disks=1", True),
        ("fstrim_cloned_disks=1,enabled=1", True),
        ("on,type=isa", True),
        ("enabled=Yes", True),
        ("0,fstrim_cloned_disks=1", False),
        ("fstrim_cloned_disks=1", False),
    ],
)
def test_the_agent_is_there_when_it_is_enabled(text: str, agent: bool) -> None:
    live = live_of(f"agent: {text}\n", "qemu", 101)

    assert live is not None
    assert live.agent is agent


def test_a_template_by_another_word_is_one() -> None:
    assert live_of("name: golden\ntemplate: yes\n", "qemu", 900) is None
    assert live_of("name: golden\ntemplate: 1\ntemplate: x\n", "qemu", 900) is None
    assert live_of("name: golden\ntemplate: no\n", "qemu", 900) is not None


def test_a_container_is_named_by_its_host_name() -> None:
    live = live_of("hostname: web\n", "lxc", 102)

    assert live is not None
    assert (live.guest.name, live.guest.order, live.guest.down) == ("web", None, None)
    assert live.lock is None


@pytest.fixture
def pve(tmp_path: Path) -> Path:
    for folder in ("qemu-server", "lxc", "ha"):
        (tmp_path / folder).mkdir()
    (tmp_path / "qemu-server" / "101.conf").write_text("name: compta\n")
    (tmp_path / "qemu-server" / "900.conf").write_text("name: golden\ntemplate: 1\n")
    (tmp_path / "qemu-server" / "101.conf.tmp.7").write_text("name: half\n")
    (tmp_path / "lxc" / "100.conf").write_text("hostname: web\n")
    (tmp_path / "ha" / "resources.cfg").write_text("ct: 100\n\tstate started\n")
    return tmp_path


def test_templates_are_left_out_and_ha_is_known(pve: Path) -> None:
    node = node_of(pve, cpus=4)

    assert [(live.guest.name, live.ha) for live in node.guests] == [
        ("web", True),
        ("compta", False),
    ]
    assert node.workers == 3


def test_the_data_centre_may_say_how_many_stop_at_once(pve: Path) -> None:
    (pve / "datacenter.cfg").write_text("keyboard: fr-be\nmax_workers: 2\n")

    assert node_of(pve, cpus=32).workers == 2


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("max_workers: 2\nmax_workers: 5\n", 5),
        ("  max_workers:3\r\n", 3),
        # What Proxmox VE cannot read it leaves out.
        ("max_workers: 16 # many\n", 7),
        ("max_workers: 0\n", 7),
        ("#max_workers: 3\n", 7),
    ],
)
def test_how_many_stop_at_once_is_read_as_proxmox_ve_reads_it(
    pve: Path, text: str, workers: int
) -> None:
    (pve / "datacenter.cfg").write_text(text)

    assert node_of(pve, cpus=8).workers == workers


def test_who_is_managed_in_name_only_stops_with_the_host(pve: Path) -> None:
    (pve / "ha" / "resources.cfg").write_text(
        "ct: 100\n\tcomment x\n\tstate ignored\n\nvm: 101\n\tstate started\n\nvm: 7\n"
    )

    assert [(live.vmid, live.ha) for live in node_of(pve).guests] == [(100, False), (101, True)]


def test_a_host_without_proxmox_ve_tells_nothing_of_guests(pve: Path) -> None:
    assert node_of(pve).told
    assert not node_of(pve / "nowhere").told


def test_a_cluster_file_system_that_is_not_mounted_tells_nothing_of_guests(tmp_path: Path) -> None:
    assert not node_of(tmp_path).told


def test_half_a_guest_is_told_from_one_that_arrives_running(pve: Path) -> None:
    (pve / "qemu-server" / "101.conf").write_text("name: compta\nlock: migrate\n")
    half = next(live for live in node_of(pve, run=pve).guests if live.vmid == 101)
    assert half.in_the_making

    (pve / "qemu-server" / "101.pid").write_text(f"{os.getpid()}\n")
    arriving = next(live for live in node_of(pve, run=pve).guests if live.vmid == 101)
    assert not arriving.in_the_making


def test_who_runs(tmp_path: Path) -> None:
    run, cgroup, proc = tmp_path / "run", tmp_path / "cgroup", tmp_path / "proc"
    (run / "qemu-server").mkdir(parents=True)
    (run / "qemu-server" / "101.pid").write_text("4711\n")
    machine, container = live_of("", "qemu", 101), live_of("", "lxc", 102)
    assert machine is not None
    assert container is not None
    assert not is_up(machine, run, cgroup, proc)
    assert not is_up(container, run, cgroup, proc)
    (proc / "4711").mkdir(parents=True)
    (cgroup / "lxc" / "102").mkdir(parents=True)
    events = cgroup / "lxc" / "102" / "cgroup.events"
    events.write_text("populated 1\nfrozen 0\n")
    assert is_up(machine, run, cgroup, proc)
    assert is_up(container, run, cgroup, proc)
    events.write_text("populated 0\nfrozen 0\n")
    assert not is_up(container, run, cgroup, proc)


def test_who_holds_a_lock_is_told_by_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "lock-101.conf"
    file.touch()
    assert holder_of(file, tasks.read(tasks.PROC / "locks")) is None
    with file.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        holder = holder_of(file, tasks.read(tasks.PROC / "locks"))
    if holder is None:
        pytest.skip("this file system's locks are not in /proc/locks under its own number")
    assert holder in {os.getpid(), 0}
    assert holder_of(tmp_path / "none", "") is None


def test_who_waits_for_a_lock_does_not_hold_it(tmp_path: Path) -> None:
    file = tmp_path / "lock-101.conf"
    file.touch()
    status = file.stat()
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"

    assert holder_of(file, f"1: -> FLOCK  ADVISORY  WRITE 77 {place} 0 EOF\n") is None
    assert holder_of(file, f"1: FLOCK  ADVISORY  WRITE 78 {place} 0 EOF\n") == 78
    assert holder_of(file, f"1: FLOCK  ADVISORY  WRITE -1 {place} 0 EOF\n") == 0
    assert holder_of(file, f"1: POSIX  ADVISORY  WRITE 79 {place} 0 EOF\n") is None


def test_a_task_lives_when_its_own_process_does(tmp_path: Path) -> None:
    upid = "UPID:pve1:00001267:00000BB8:6927F000:vzdump::root@pam:"
    task = tasks.task_of(upid)
    assert task is not None
    assert (task.pid, task.pstart, task.log.as_posix()) == (4711, 3000, f"0/{upid}")
    stat = tmp_path / "4711" / "stat"
    stat.parent.mkdir()
    rest = "1 " * 18
    stat.write_text(f"4711 (task UPID:) x) S {rest}3000 0\n")
    assert tasks.is_running(task, tmp_path)
    stat.write_text(f"4711 (other) S {rest}3001 0\n")
    assert not tasks.is_running(task, tmp_path)
    stat.write_text(f"4711 (task) Z {rest}3000 0\n")
    assert not tasks.is_running(task, tmp_path)
    assert not tasks.is_running(task, tmp_path / "none")


def test_a_list_of_tasks_is_read_with_and_without_ends() -> None:
    one = "UPID:pve1:00001267:00000BB8:6927F000:vzdump::root@pam:"
    other = "UPID:pve-2:00001268:100000BB8:6927F001:qmstart:101:root@pam!auto:"
    listed = tasks.listed(f"{one} 0\n{other} 1 6927F010 OK\n{one} 0\nnonsense\n")

    assert [(task.kind, task.id) for task in listed] == [("vzdump", ""), ("qmstart", "101")]
