"""A power cut loses nothing, and what is wrong before or during one is named."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from releve.command import run
from releve.lab.run import environment

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
PLAY_SECONDS = 400


class Site:
    """The lab with its guests on pve1 and its UPS guarded; runs programs at the workstation."""

    def __init__(self, lab: Lab) -> None:
        """Take the lab as it is."""
        self.lab = lab

    def do(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        program = self.lab.root / ".venv" / "bin" / argv[0]
        return run(
            self.lab.workstation([str(program), *argv[1:]]),
            timeout=PLAY_SECONDS,
            check=False,
            env=environment(self.lab),
            cwd=str(cwd or self.lab.root),
        )

    def must(self, *argv: str) -> None:
        done = self.do(*argv)
        assert done.returncode == 0, (argv, done.stdout[-2000:], done.stderr[-2000:])

    def runs(self, guest: str) -> bool:
        """Tell whether a guest runs on the UPS's host."""
        pid = f"/run/qemu-server/{self.lab.town.guests[guest].vmid}.pid"
        return self.lab.console("pve1", ["test", "-e", pid], check=False).returncode == 0

    def play(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.do(
            "ansible-playbook", "-i", "inventory/lab/town.yml", "playbooks/power.yml", *options
        )

    def drill(self) -> tuple[int, set[str]]:
        """Run the drill; return its exit code and the checks that failed."""
        done = self.do("releve", "drill", "power", "--lab")
        file = self.lab.root / "build" / "evidence" / "power.json"
        checks: list[dict[str, Any]] = json.loads(file.read_text())["checks"]
        return done.returncode, {check["id"] for check in checks if not check["passed"]}

    def control(self, **order: str) -> None:
        part = self.lab.world / "control.d" / ".order"
        part.write_text(json.dumps(order))
        part.replace(self.lab.world / "control.d" / "order")

    def events(self, begin: int) -> str:
        """Return what the power side saw after its first `begin` events."""
        return "\n".join((self.lab.world / "events.jsonl").read_text().splitlines()[begin:])

    def saw(self, begin: int, subject: str, kind: str, seconds: float = 0) -> bool:
        """Tell whether the power side saw something after its first `begin` events."""
        deadline = time.monotonic() + seconds
        while True:
            events = [json.loads(line) for line in self.events(begin).splitlines()]
            if any(one["subject"] == subject and one["kind"] == kind for one in events):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site(lab: Lab) -> Iterator[Site]:
    here = Site(lab)
    missing = [name for name in lab.town.guests if not here.runs(name)]
    if missing:
        here.must("releve", "drill", "provision")
        here.must("releve", "migrate", "run", *missing)
    here.must("ansible-playbook", "-i", "inventory/lab/town.yml", "playbooks/power.yml")
    yield here
    here.control(behaviour="cyc", mains="on")


def test_a_cut_is_survived_in_order_and_unattended(site: Site) -> None:
    assert site.drill() == (0, set())


def test_plain_ansible_finds_nothing_to_change(site: Site, tmp_path: Path) -> None:
    exported = site.do("ansible-inventory", "-i", "inventory/lab/town.yml", "--list", "--export",
                       "--yaml").stdout  # fmt: skip
    file = tmp_path / "town.yml"
    file.touch(mode=0o600)
    file.write_text(exported)
    for folder in ("playbooks", "roles"):
        shutil.copytree(site.lab.root / folder, tmp_path / folder)
    config = "[defaults]\nroles_path = roles\ninterpreter_python = /usr/bin/python3\n"
    (tmp_path / "ansible.cfg").write_text(config)

    argv = ["ansible-playbook", "-i", str(file), "playbooks/power.yml"]
    program = site.lab.root / ".venv" / "bin" / argv[0]
    env = {
        **environment(site.lab),
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        # The key of the lab's secrets; the exported file still carries them encrypted.
        "ANSIBLE_VAULT_PASSWORD_FILE": str(site.lab.town.folder / ".vault-key"),
    }
    done = run(
        site.lab.workstation([str(program), *argv[1:]]),
        timeout=PLAY_SECONDS,
        check=False,
        env=env,
        cwd=str(tmp_path),
    )

    assert done.returncode == 0, done.stdout[-3000:]
    recap = [line for line in done.stdout.splitlines() if "unreachable=" in line]
    assert len(recap) == 2
    assert all("changed=0 " in line for line in recap), recap


def test_a_wrong_password_on_the_nas_is_named(site: Site) -> None:
    wrong = site.play("-e", "nut_secondary_password=wrong-password-of-the-nas")
    before_the_cut = site.drill()
    right = site.play()

    assert wrong.returncode != 0
    assert "nas is not logged in at ups1@" in wrong.stdout
    assert before_the_cut[0] != 0
    assert "nas.logged-in-before" in before_the_cut[1]
    assert right.returncode == 0, right.stdout[-2000:]


def test_a_guest_that_ignores_its_power_button_is_named(site: Site) -> None:
    site.lab.deafen("compta")
    code, failed = site.drill()

    assert code != 0
    assert "compta.clean-stop" in failed
    assert not {"dossiers.clean-stop", "pve1.clean-stop", "nas.clean-stop"} & failed


def test_a_ups_that_never_cuts_leaves_nobody_dark(site: Site) -> None:
    begin = len(site.events(0).splitlines())
    site.control(behaviour="ign", mains="off")
    assert site.saw(begin, "ups1", "command", 90)
    site.control(mains="on")

    assert site.saw(begin, "pve1", "power-on", 60), site.events(begin)
    assert site.saw(begin, "nas", "power-on", 90), site.events(begin)
    assert not site.saw(begin, "ups1", "output-off")
    site.lab.await_ready("nas")
    for guest in site.lab.town.guests:
        assert site.lab.ask(guest, 90).whole
