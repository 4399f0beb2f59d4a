"""A power cut loses nothing, and what is wrong before or during one is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenario.stage import provision

from releve.command import run
from releve.drills.power_times import TITLES, read_figures
from releve.lab.hosts import BOOT_ID
from releve.lab.run import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
PLAY_SECONDS = 400
WHOLE = 3
GUARDED = ("pve1", "nas")
# What a drill must leave as it was: who runs since when, what the files hold, and no flag. Not what
# a timer or a path starts: that comes and goes by itself. Sorted: systemd lists them in no order.
PROTECTION = """
systemctl show --property=Id,TriggeredBy,MainPID,ExecMainStartTimestamp 'nut-*' 'releve-*' |
    awk -v RS= '!/TriggeredBy=./ { gsub("\\n", " "); print }' | sort
find /etc/nut -type f -exec sha256sum {} + | sort
ls -d /etc/killpower /run/nut/killpower /run/nut/shadow 2>&1
pgrep -c upsmon; pgrep -c upsd
"""
PROGRAM, STAGE = "[s]hadow --ups", "[s]hadow --inside"
SHADOWS = f"{PROGRAM}|{STAGE}|[d]ummy-ups"


class Site:
    """The lab with its guests on pve1 and its UPS guarded; runs programs at the workstation."""

    def __init__(self, lab: Lab) -> None:
        """Take the lab as it is; `drilled` are the levels since the UPS's host has booted."""
        self.lab = lab
        self.drilled: set[int] = set()

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

    def drill(self, level: int = 3) -> tuple[int, set[str]]:
        """Run a level of the drill; return its exit code and the checks that failed."""
        self.drilled.add(level)
        done = self.do("releve", "drill", "power", "--lab", "--level", str(level))
        name = "power" if level == WHOLE else f"power-{level}"
        file = self.lab.root / "build" / "evidence" / f"{name}.json"
        checks: list[dict[str, Any]] = json.loads(file.read_text())["checks"]
        return done.returncode, {check["id"] for check in checks if not check["passed"]}

    def protection(self) -> dict[str, str]:
        """Return what guards each host."""
        seen = {
            host: self.lab.console(host, ["sh", "-c", PROTECTION], check=False).stdout
            for host in GUARDED
        }
        assert all("Id=nut-monitor.service" in told for told in seen.values()), seen
        return seen

    def shadows(self, host: str) -> list[str]:
        """Return the processes of a shadow drill on a host."""
        found = self.lab.console(host, ["pgrep", "-fa", SHADOWS], check=False).stdout
        return found.splitlines()

    def await_shadows(self, host: str, *, there: bool, seconds: float = 30) -> list[str]:
        """Wait until there are some, or none; return them."""
        deadline = time.monotonic() + seconds
        while bool(found := self.shadows(host)) is not there and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    @staticmethod
    def await_that(true: Callable[[], bool], seconds: float = 60) -> bool:
        """Wait until something is so; return whether it is."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

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


def power_off_cuts_nobody(site: Site) -> None:
    """Power the UPS's host off as anybody would; nobody else loses power, and it comes back."""
    begin = len(site.events(0).splitlines())
    number = site.lab.console("pve1", ["cat", BOOT_ID]).stdout
    site.lab.console("pve1", ["systemctl", "poweroff"], check=False)
    assert site.saw(begin, "pve1", "halted", 90), site.events(begin)
    time.sleep(8)  # longer than the UPS takes to switch off

    assert not site.saw(begin, "ups1", "command"), site.events(begin)
    assert not site.saw(begin, "ups1", "output-off")
    assert site.lab.running("nas")
    site.lab.power_on("pve1")
    site.lab.await_ready("pve1")
    assert site.lab.console("pve1", ["cat", BOOT_ID]).stdout != number
    site.drilled.clear()
    for guest in site.lab.town.guests:
        assert site.lab.ask(guest, 120).whole


@pytest.fixture(scope="module")
def site(lab: Lab) -> Iterator[Site]:
    here = Site(lab)
    missing = [name for name in lab.town.guests if not here.runs(name)]
    if missing:
        provision(lab)
        here.must("releve", "migrate", "run", *missing)
    here.must("ansible-playbook", "-i", "inventory/lab/town.yml", "playbooks/power.yml")
    yield here
    here.control(behaviour="cyc", mains="on")


def test_paper_and_files_hold(site: Site) -> None:
    assert site.drill(0) == (0, set())


def test_every_host_fires_in_the_shadow_and_nothing_is_left(site: Site) -> None:
    before = site.protection()
    assert site.drill(1) == (0, set())

    assert site.protection() == before
    file = site.lab.root / "build" / "evidence" / "power-1.json"
    told = {(one["subject"], one["what"]) for one in json.loads(file.read_text())["events"]}
    for host in GUARDED:
        assert (host, "SHUTDOWNCMD is called, as a recorder") in told
        assert (host, "upsmon speaks TLS with its server") in told
        assert site.shadows(host) == []


@pytest.mark.parametrize("victim", ["stage", "program", "connection"])
def test_a_shadow_that_is_killed_leaves_nothing(site: Site, victim: str) -> None:
    def monitors() -> int:
        return int(site.lab.console("pve1", ["pgrep", "-c", "upsmon"], check=False).stdout)

    before, standing = site.protection(), monitors()
    program = str(site.lab.root / ".venv" / "bin" / "releve")
    words = site.lab.workstation([program, "drill", "power", "--lab", "--level", "1"])
    with subprocess.Popen(
        words, env=environment(site.lab), cwd=site.lab.root, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as drill:  # fmt: skip
        assert site.await_that(lambda: monitors() > standing)  # its own runs: it is in the middle
        assert any("dummy-ups" in one for one in site.shadows("pve1"))
        if victim == "connection":
            os.killpg(drill.pid, signal.SIGKILL)
        else:
            pattern = STAGE if victim == "stage" else PROGRAM
            site.lab.console("pve1", ["pkill", "-KILL", "-f", pattern], check=False)
        for host in GUARDED:
            assert site.await_shadows(host, there=False, seconds=90) == []
        drill.wait(timeout=120)

    assert site.protection() == before


def test_the_lowest_tier_stops_and_comes_back(site: Site) -> None:
    compta = site.lab.ask("compta")
    dossiers = site.lab.ask("dossiers")
    assert site.drill(2) == (0, set())

    assert site.lab.ask("dossiers").boots == dossiers.boots + 1
    assert site.lab.ask("dossiers").unclean == dossiers.unclean
    assert site.lab.ask("compta").boots == compta.boots


def test_a_plug_is_pulled_and_put_back(site: Site) -> None:
    begin = len(site.events(0).splitlines())
    assert site.drill(4) == (0, set())

    assert site.saw(begin, "mains", "mains-off")
    assert not site.saw(begin, "ups1", "command")
    record = json.loads((site.lab.root / "build" / "measured" / "ups1.json").read_text())
    assert record["how"] == "plug-pull"
    assert record["ob_seen_seconds"] <= 10
    assert record["moved"]["charge"]


@pytest.fixture
def town(site: Site) -> Iterator[Path]:
    """Return a copy of the town, as deep in the checkout: what is measured is kept beside it."""
    copy = site.lab.root / "build" / "town-of-a-test"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("town.yml", "measured"):
        run(["cp", "-a", str(site.lab.town.folder / name), str(copy)], timeout=10)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


def test_a_measurement_outlives_its_terminal_and_a_kill(site: Site, town: Path) -> None:
    def measure(*words: str) -> subprocess.CompletedProcess[str]:
        return site.do("releve", "-i", str(town), "power", "measure", "ups1", *words)

    def says() -> dict[str, str]:
        values: dict[str, str] = json.loads((site.lab.world / "ups1.json").read_text())["vars"]
        return values

    known = json.loads((town / "measured" / "ups1.json").read_text())
    assert site.await_that(lambda: says()["ups.status"] == "OL")  # and charged
    begin = len(site.events(0).splitlines())
    assert "It drains its battery" in measure("--how", "deep", "--check").stdout
    assert measure("--how", "deep").returncode == 5  # nobody agreed
    assert not site.saw(begin, "ups1", "command")

    program = str(site.lab.root / ".venv" / "bin" / "releve")
    deep = ("--how", "deep", "--stop-charge", "95", "--yes")
    words = site.lab.workstation([program, "-i", str(town), "power", "measure", "ups1", *deep])
    with subprocess.Popen(
        words, env=environment(site.lab), cwd=site.lab.root, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as terminal:  # fmt: skip
        assert site.await_that(lambda: "OB" in says()["ups.status"])
        os.killpg(terminal.pid, signal.SIGINT)
        assert terminal.wait(timeout=30) in {130, -signal.SIGINT}
    site.lab.console("pve1", ["systemctl", "kill", "--signal=KILL", "releve-measure"])
    assert measure("--how", "quick", "--check").returncode == 5  # one at a time
    done = measure(*deep, "--json")

    assert done.returncode == 0, done.stderr[-2000:]
    made = json.loads(done.stdout)
    last = made["history"][-1]
    assert len(made["history"]) > len(known["history"])
    assert last["how"] == "deep"
    assert last["capacity_seconds"] is None  # it was ended: a point of no trend
    assert made["capacity_seconds"] == known["capacity_seconds"]  # less was seen than is known
    assert json.loads((town / "measured" / "ups1.json").read_text()) == made
    sent = [json.loads(line) for line in site.events(begin).splitlines()]
    assert [one["what"].split()[0] for one in sent if one["kind"] == "command"] == [
        "test.battery.start.deep",
        "test.battery.stop",
    ]
    assert not any(one["kind"] in {"halted", "waiting", "output-off"} for one in sent)


def test_a_quick_test_is_proof_of_life_and_the_page_says_so(site: Site) -> None:
    site.lab.console("pve1", ["systemctl", "start", "releve-battery-quick@ups1.service"])
    site.do("releve", "power", "state")
    file = site.lab.root / "build" / "evidence" / "batteries.json"
    checks = {one["id"]: one for one in json.loads(file.read_text())["checks"]}

    assert checks["ups1.state"]["value"] == "measured"
    assert checks["ups1.decides"]["value"] == "own-word"  # as the lab says
    for name in ("quick-test", "link", "rung"):
        assert checks[f"ups1.{name}"]["passed"], checks
    assert checks["pve1.alarm-targets"]["value"] == 0
    gate = site.do("releve", "power", "gate")
    assert gate.returncode == 0, gate.stdout
    assert gate.stdout.count(": guarded, ") == len(GUARDED)


def test_a_ups_that_hides_the_loss_of_its_mains_may_guard_nothing(site: Site) -> None:
    site.control(comms="")  # an empty word: its link is gone
    try:
        code, _failed = site.drill(4)
    finally:
        site.control(comms="yes", mains="on")

    assert code == 75  # refused before anybody pulls a plug: there are no data


def test_an_ordinary_power_off_after_the_partial_drills_cuts_nobody(site: Site) -> None:
    """Nothing between them takes a flag away, so one that any of them left would still stand."""
    for level in sorted({0, 1, 2, 4} - site.drilled):
        assert site.drill(level) == (0, set()), level
    power_off_cuts_nobody(site)


def test_a_cut_is_survived_in_order_and_unattended(site: Site) -> None:
    assert site.drill() == (0, set())
    times = {
        one.id: one for one in read_figures(site.lab.root / "build" / "evidence" / "power.json")
    }
    assert set(times) == set(TITLES)
    assert all(one.seconds is not None for one in times.values())


def test_an_ordinary_power_off_after_a_whole_cut_cuts_nobody(site: Site) -> None:
    power_off_cuts_nobody(site)


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
    alone = ("--limit", "nas")  # nothing is wrong with the other host
    wrong = site.play(*alone, "-e", "nut_secondary_password=wrong-password-of-the-nas")
    before_the_cut = site.drill()
    right = site.play(*alone)

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
