"""Whatever dies at whatever point of a move: the next run goes on, and the guest loses nothing.

The tests of a class are one story and run in its order. Judges are stock tools at the hosts'
consoles: checksums of both disks, the worker's journal, what is left of processes and keys.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenario import watch
from tests.scenario.beside import Beside
from tests.scenario.move import Move, left
from tests.scenario.stage import (
    GUESTS,
    ROOT,
    TOWN,
    VOLUME_PATIENCE,
    await_newer,
    changed,
    do,
    failed,
    provision,
)

from releve.lab.domains import IMAGES_FOLDER, domain

if TYPE_CHECKING:
    from pathlib import Path

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
SEED = int(os.environ.get("RELEVE_SEED", "5"))
FOLDER = "/srv/vmdata/images/101"
VOLUME, THEIRS = "vm-101-disk-0.raw", "vm-101-disk-7.raw"
JOURNAL = "cat /var/lib/releve/migrate/{run}/vda/journal.jsonl"
SLACK = 4 << 20  # bytes that the guest itself may write anew between two runs
SLATE = {
    "vmid": 103, "source": "old", "target": "pve1", "storage": "vmdata", "pool": "services",
    "firmware": "bios", "machine": "q35", "memory_mib": 64, "cpus": 1, "stop_seconds": 4,
    "nics": [{"mac": "52:54:00:91:00:03", "network": "office", "model": "virtio"}],
    "disks": [{"name": "vda", "format": "raw", "size_mib": 64, "bus": "virtio"}],
}  # fmt: skip
RATE = 12  # MiB/s of the old host's line, for three


def run_of(guest: str) -> str:
    """Return the id of a guest's present run."""
    lines = (ROOT / f"build/migrate/{guest}/journal.jsonl").read_text().splitlines()
    return str([e for e in map(json.loads, lines) if e["event"] == "run-began"][-1]["run"])


def copied_twice(lab: Lab, run: str) -> list[str]:
    """Return each seed of a run that had more to copy than the checkpoints before it left."""
    text = watch.console(lab, "pve1", JOURNAL.format(run=run))
    wrong, todo, saved = [], None, 0
    for event in map(json.loads, text.splitlines()):
        if event["event"] == "checkpoint":
            saved = max(saved, event["read"])
        elif event["event"] in {"seed-started", "seed-done"}:
            now = event.get("todo", 0)
            if todo is not None and now > todo - saved + SLACK:
                wrong.append(f"{now} to copy of {todo}, and {saved} were saved")
            todo, saved = now, 0
    assert todo is not None, text
    return wrong


def define(lab: Lab, name: str) -> None:
    """Start a guest on the old host that has nothing to boot: it hears no power button."""
    disk = f"/{IMAGES_FOLDER}/{name}.raw"
    size = lab.town.guests[name].disks[0].size_mib
    watch.console(lab, "old", f"truncate -s {size}M {disk}")
    watch.console(lab, "old", f"dd if=/dev/urandom of={disk} bs=1M seek=8 count=24 conv=notrunc")
    xml = domain(lab.town, name)
    lab.console("old", ["sh", "-c", f"cat > /root/{name}.xml"], stdin=xml)
    watch.console(lab, "old", f"virsh define /root/{name}.xml; virsh start {name}")


@pytest.fixture(scope="module", autouse=True)
def ready(lab: Lab) -> None:
    """Let the node be set up."""
    provision(lab)
    await_newer(lab, "compta")


class TestKills:
    chance = random.Random(SEED)  # noqa: S311  # no secret

    def test_a_volume_of_others_is_never_overwritten(self, lab: Lab) -> None:
        watch.console(lab, "pve1", f"mkdir -p {FOLDER}; echo theirs > {FOLDER}/{THEIRS}")

        said = do(lab, "releve", "migrate", "run", "compta", code=5)

        assert THEIRS in said
        assert watch.console(lab, "pve1", f"cat {FOLDER}/{THEIRS}") == "theirs\n"
        watch.console(lab, "pve1", f"rm {FOLDER}/{THEIRS}")

    def test_half_a_volume_on_a_node_that_lost_its_power_starts_by_no_means(self, lab: Lab) -> None:
        before = lab.ask("compta")
        with Move(lab, "compta", "--wait", "--bandwidth", "2") as move:
            move.awaits("progress")
            do(lab, "releve", "migrate", "run", "compta", code=75)  # refused: one at a time
            saved = JOURNAL.format(run=run_of("compta")) + " | grep -c checkpoint || :"
            while watch.console(lab, "pve1", saved) == "0\n":
                assert move.process.poll() is None, move.said()
                time.sleep(0.2)
            lab.power_cut("pve1")
            assert move.ends(), "it goes on without its node"
            assert "Traceback" not in move.said()
        lab.power_on("pve1")
        lab.await_ready("pve1")

        for tired in ("start 101", f"set 101 --virtio0 vmdata:101/{VOLUME}", "start 101"):
            done = lab.console("pve1", ["qm", *tired.split()], check=False)
            assert "VM is locked (migrate)" in done.stderr
        assert "virtio0" not in watch.console(lab, "pve1", "qm config 101")
        assert lab.ask("compta").boots == before.boots

    def test_a_half_copy_is_given_up_and_the_guest_does_not_notice(self, lab: Lab) -> None:
        before = lab.ask("compta")

        said = do(lab, "releve", "migrate", "rollback", "compta", answer="y\n")

        assert "no write is lost" in said
        assert left(lab) == ""
        ask = 'virsh qemu-monitor-command compta \'{"execute":"%s"}\''
        drives = watch.console(lab, "old", ask % "query-block")
        assert "releve-" not in drives + watch.console(lab, "old", ask % "query-block-exports")
        assert lab.ask("compta").boots == before.boots

    def test_whoever_is_killed_before_the_stop_no_block_is_copied_twice(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        before, deaths = lab.ask("compta"), []
        for number in range(12):
            victim = self.chance.choice(["worker", "tunnel", "controller"])
            moment = self.chance.choice(["", "", "volumes", "progress", "progress"])
            seconds = self.chance.uniform(0, 2)
            with Move(lab, "compta", "--wait", "--bandwidth", "3") as move:
                if moment:
                    move.awaits(moment, "waits")
                time.sleep(seconds)
                died = move.strike(victim)
                last = [event["event"] for event in move.events[-3:]]
            deaths.append(f"{number}: {victim} {seconds:.2f} s after {moment}: {died} at {last}")
        sys.stderr.write("\n".join(deaths) + "\n")
        told = f"RELEVE_SEED={SEED}: {deaths}"

        assert copied_twice(lab, run_of("compta")) == [], told
        after = lab.ask("compta")
        assert (after.boots, after.chain) == (before.boots, "whole"), told
        elsewhere = do(lab, "releve", "migrate", "run", "compta", code=5, cwd=tmp_path)
        assert f"101: compta of run {run_of('compta')} is there" in elsewhere

    def test_a_source_whose_qemu_dies_is_compared_and_a_kill_in_the_cutover_brings_it_back(
        self, lab: Lab
    ) -> None:
        before = lab.ask("compta")
        seconds = self.chance.uniform(0, 0.4)  # its fence is not closed so soon
        with Move(lab, "compta", "--hold") as move:
            move.awaits("round-began")
            lab.console("old", ["pkill", "-9", "-f", "guest=compta"])
            assert move.awaits("source-lost")["state"] == "shut off"
            move.awaits("power-button")
            time.sleep(seconds)
            died = move.strike("controller")

        assert move.said().count("no data is lost") == 1
        after = lab.ask("compta", VOLUME_PATIENCE)
        told = f"RELEVE_SEED={SEED}: {died} {seconds:.2f} s after the power button"
        assert after.whole, told
        assert after.newest > before.newest, told
        assert lab.console("old", ["systemctl", "is-active", "libvirtd"]).stdout == "active\n"

        do(lab, "releve", "migrate", "run", "compta", "--hold")
        assert not watch.disks_differ(lab, "compta"), told

    def test_whoever_is_killed_after_the_start_it_ends_moved_and_leaves_nothing(
        self, lab: Lab
    ) -> None:
        deaths = []
        with Move(lab, "compta") as move:
            move.awaits("answers")
            time.sleep(self.chance.uniform(0, 0.5))
            move.kill()
        lab.power_cut("pve1")
        lab.power_on("pve1")
        lab.await_ready("pve1")
        lab.ask("compta", VOLUME_PATIENCE)
        for victim in ("controller", "worker", "tunnel"):
            seconds = self.chance.uniform(0, 2)
            with Move(lab, "compta") as move:
                time.sleep(1 + seconds)
                deaths.append(f"{victim} at {seconds:.2f} s: {move.strike(victim)}")

        do(lab, "releve", "migrate", "run", "compta")

        told = f"RELEVE_SEED={SEED}: {deaths}"
        assert failed("migrate") == set(), told
        assert watch.chain(lab, "compta")["chain"] == "whole", told
        assert left(lab) == "", told
        assert watch.console(lab, "pve1", f"ls {FOLDER}") == f"{VOLUME}\n"


class TestManyAtOnce:
    def test_three_guests_move_unattended_and_the_deaf_one_is_named(self, lab: Lab) -> None:
        town = Beside.of(lab, "three", {
            "guests": {"ardoise": SLATE}, "migrate": {"parallel": 3, "bandwidth": RATE},
        })  # fmt: skip
        define(town.lab, "ardoise")

        said = do(
            lab, "ansible-playbook", "-i", str(town.folder / "town.yml"), "playbooks/migrate.yml",
            code=2, RELEVE_INVENTORY=str(town.folder), ANSIBLE_CALLBACK_RESULT_FORMAT="json",
        )  # fmt: skip

        told = re.search(r"FAILED! => (\{.*\})", said)
        assert told, said[-3000:]
        result: dict[str, Any] = json.loads(told[1])
        events = [json.loads(line) for line in result["stdout_lines"]]
        moved = {event["guest"] for event in events if event["event"] == "audited"}
        assert moved == {"dossiers"}
        assert {event["guest"] for event in events} == {"ardoise", *GUESTS}
        assert "NEEDS YOU: ardoise: guest-ignores-power-button" in result["stderr"]
        for event in events:
            if event["event"] == "seeded":
                assert event["read"] / event["seconds"] <= (RATE << 20) / 3
        assert watch.console(lab, "old", "virsh domstate ardoise") == "running\n\n"

    def test_a_second_play_changes_nothing(self, lab: Lab) -> None:
        disk = f"/{IMAGES_FOLDER}/ardoise.raw"
        watch.console(lab, "old", f"virsh destroy ardoise; virsh undefine ardoise; rm {disk}")

        assert changed(do(lab, "ansible-playbook", "-i", TOWN, "playbooks/migrate.yml")) == 0

        assert failed("migrate") == set()
        for guest in GUESTS:
            assert watch.chain(lab, guest)["chain"] == "whole"

    def test_the_source_can_not_start_by_accident(self, lab: Lab) -> None:
        for guest in GUESTS:
            done = lab.console("old", ["virsh", "start", guest], check=False)
            assert done.returncode != 0
