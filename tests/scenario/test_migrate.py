"""A guest moves while it works, and whatever breaks on the way, it goes on somewhere, whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from releve.command import run
from releve.lab.run import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releve.lab.topology import Lab
    from releve.witness import Status

pytestmark = pytest.mark.lab
BOOT_SECONDS = 90
RUN_SECONDS = 400
WORKER = "^/usr/bin/python3 /usr/local/lib/releve/blocks.pyz seed"


class Mover:
    """Runs `releve migrate` for compta in a folder of its own, at the workstation's place."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        """Faults are honoured only where the lab's state is."""
        self.lab, self.folder = lab, folder
        (folder / "build").mkdir()
        (folder / "build" / "lab").symlink_to(lab.state)

    def argv(self, verb: str, *options: str) -> list[str]:
        releve = self.lab.root / ".venv" / "bin" / "releve"
        words = [str(releve), "-i", str(self.lab.town.folder), "migrate", verb, "compta"]
        return self.lab.workstation([*words, *options])

    def env(self, fault: str) -> dict[str, str]:
        return {**environment(self.lab), "RELEVE_FAULT": fault}

    def do(self, verb: str, *options: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        argv = self.argv(verb, *options)
        return run(
            argv, timeout=RUN_SECONDS, check=False, env=self.env(fault), cwd=str(self.folder)
        )

    def move(self) -> None:
        done = self.do("run")
        assert done.returncode == 0, done.stderr

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        argv = self.argv("run", *options)
        return subprocess.Popen(argv, env=self.env(""), cwd=self.folder)

    def checks(self) -> dict[str, Any]:
        evidence = json.loads((self.folder / "build/evidence/migrate.json").read_text())
        return {check["id"]: check for check in evidence["checks"]}

    def failed(self) -> set[str]:
        return {name for name, check in self.checks().items() if not check["passed"]}

    def state(self) -> str:
        return self.lab.console("old", ["virsh", "domstate", "compta"], check=False).stdout.strip()

    def answers(self, at: str) -> Status:
        """Return compta's status, and check that it works on one host only."""
        status = self.lab.ask("compta", BOOT_SECONDS)
        there = self.lab.console("pve1", ["pgrep", "-c", "-f", "qemu.*compta"], check=False)
        where = {"old": self.state() == "running", "pve1": int(there.stdout or 0) > 0}
        assert where == {"old": at == "old", "pve1": at == "pve1"}
        assert status.whole
        return status


@pytest.fixture(scope="module")
def node(lab: Lab) -> Lab:
    """Set pve1 up: the migration needs its token and the worker's library."""
    playbook = str(lab.root / "playbooks" / "provision.yml")
    argv = ["ansible-playbook", "-i", str(lab.town.file), "--limit", "pve1", playbook]
    path = str(lab.root / ".venv" / "bin" / argv[0])
    run(
        lab.workstation([path, *argv[1:]]),
        timeout=600,
        env=environment(lab),
        cwd=str(lab.root),
    )
    return lab


@pytest.fixture
def mover(node: Lab, tmp_path: Path) -> Iterator[Mover]:
    """Give the mover with compta at work on the old host, and bring it back there."""
    node.ask("compta", BOOT_SECONDS)
    one = Mover(node, tmp_path)
    yield one
    one.do("rollback", "--yes")
    node.console("pve1", ["qm", "destroy", "101"], check=False)
    assert one.answers("old").whole


def await_worker(lab: Lab) -> str:
    """Return the pid of the worker of a seed, once it has made a checkpoint."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        script = "grep -hs checkpoint /var/lib/releve/migrate/*/vda/journal.jsonl | tail -n 1"
        pid = lab.console("pve1", ["pgrep", "-f", WORKER], check=False).stdout.strip()
        saved = lab.console("pve1", ["sh", "-c", script], check=False).stdout
        if pid and saved:
            return pid
        time.sleep(0.2)
    pytest.fail("no worker made a checkpoint within 90 s")


def test_there_and_back_again(mover: Mover) -> None:
    """The move keeps every record; the rollback restores the very same definition."""
    definition = ["virsh", "dumpxml", "--inactive", "--security-info", "compta"]
    before = mover.lab.console("old", definition).stdout

    mover.move()

    assert mover.failed() == set()
    assert {"compta.no-record-lost", "compta.mac-kept", "compta.rounds"} <= set(mover.checks())
    assert mover.answers("pve1").unclean == 0
    assert mover.lab.console("old", ["virsh", "start", "compta"], check=False).returncode != 0
    back = mover.do("rollback", "--yes")
    assert back.returncode == 0, back.stderr
    assert "on the target will be lost" in back.stderr
    assert mover.answers("old").boots == 2
    assert mover.lab.console("old", definition).stdout == before
    assert "autostart" in mover.lab.console("old", ["ls", "-R", "/etc/libvirt/qemu"]).stdout
    assert mover.lab.console("old", ["cat", "/root/.ssh/authorized_keys"]).stdout.count("\n") == 1


def test_a_killed_worker_and_a_killed_controller_cost_no_byte_twice(mover: Mover) -> None:
    mover.lab.console("pve1", ["rm", "-rf", "/var/lib/releve/migrate"])
    process = mover.start("--bandwidth", "2")
    mover.lab.console("pve1", ["kill", "-9", await_worker(mover.lab)])
    assert process.wait(timeout=60) == 1
    process = mover.start("--bandwidth", "2")
    await_worker(mover.lab)
    process.send_signal(signal.SIGKILL)
    process.wait()

    mover.move()

    assert mover.failed() == set()
    assert mover.checks()["compta.bytes-kept-on-resume"]["value"] > 0
    assert mover.answers("pve1").unclean == 0


def test_a_controller_killed_after_the_power_off_leaves_nobody_in_the_dark(mover: Mover) -> None:
    done = mover.do("run", fault="kill-after-power-off")
    assert done.returncode == -signal.SIGKILL

    assert mover.answers("old").boots >= 2
    assert mover.lab.console("old", ["systemctl", "is-active", "libvirtd"]).stdout == "active\n"
    mover.move()
    assert mover.failed() == set()
    assert mover.answers("pve1").unclean == 0


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("target-byte-flipped", "compta.target-equals-manifest"),
        ("source-started-again", "compta.source-fenced"),
    ],
)
def test_a_fault_fails_by_its_name_and_the_guest_works_at_its_source(
    mover: Mover, fault: str, check: str
) -> None:
    done = mover.do("run", fault=fault)

    assert done.returncode == 1
    assert check.partition(".")[2] in done.stderr
    assert mover.failed() == {check, "completed"}
    mover.answers("old")


def test_a_guest_that_ignores_its_power_button_goes_on(mover: Mover) -> None:
    before = mover.answers("old")
    mover.lab.deafen("compta")

    done = mover.do("run")

    assert done.returncode == 1
    assert "guest-ignores-power-button" in done.stderr
    assert mover.failed() == {"compta.power-off", "completed"}
    assert mover.answers("old").boots == before.boots
    mover.lab.console("old", ["virsh", "reset", "compta"])


def test_a_second_run_is_refused(mover: Mover) -> None:
    mover.lab.console("pve1", ["rm", "-rf", "/var/lib/releve/migrate"])
    process = mover.start("--bandwidth", "2")
    await_worker(mover.lab)

    refused = mover.do("run")

    assert refused.returncode == os.EX_TEMPFAIL
    assert "another run is at work" in refused.stderr
    assert process.wait(timeout=RUN_SECONDS) == 0
