"""A libvirt guest with all that is hard to move: three disks and buses, a chain, UEFI, TPM, LVM.

It says itself what it sees of its machine; bytes are compared by stock tools at rest. The tests are
one story and run in its order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenario import watch
from tests.scenario.beside import Beside
from tests.scenario.stage import await_newer, provision, tell

from releve.lab import guests, lvm
from releve.lab.podman import files_of
from releve.lab.run import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
NAME, VMID = "registre", 110
MACHINE = "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"
GENERATION = "a1b2c3d4-1122-4334-8455-66778899aabb"
ADDRESS, WITNESS = "198.51.100.23", 7000
DISKS: list[dict[str, Any]] = [
    {"name": "vda", "format": "qcow2", "size_mib": 128, "bus": "virtio", "serial": "SYS-1"},
    {"name": "sda", "format": "raw", "size_mib": 64, "bus": "scsi", "serial": "DATA-2"},
    {"name": "sdb", "format": "raw", "size_mib": 64, "bus": "sata", "serial": "LVM-3"},
]
GUEST = {
    "vmid": VMID,
    "source": "old",
    "target": "pve1",
    "storage": "vmdata",
    "pool": "services",
    "firmware": "uefi",
    "machine": "q35",
    "machine_version": "7.2",
    "smbios": {"uuid": MACHINE, "serial": "REG-2019-0042", "manufacturer": "Commune de Lesse"},
    "vmgenid": GENERATION,
    "cpu": "Nehalem",
    "tpm": "2.0",
    "scsi_controller": "virtio-scsi-pci",
    "memory_mib": 256,
    "autostart": True,
    "stop_seconds": 20,
    "nics": [{"mac": "52:54:00:91:00:0a", "network": "office", "address": ADDRESS}],
    "disks": DISKS,
    "witness": {"port": WITNESS},
}
IMAGES = "/var/lib/libvirt/images"
NUMBERS = {"vda": 768, "sda": 48 << 10, "sdb": 48 << 10}  # KiB: where tick.c writes its numbers
EXTRA = f"{IMAGES}/late.raw"
BOOT_SECONDS = 120


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Beside]:
    """Give the town with this one guest, at work on the lab's old host."""
    provision(lab)
    changes = {"guests": {"compta": None, "dossiers": None, NAME: GUEST}}
    beside = Beside.of(lab, "libvirt", changes)
    there = beside.lab.town
    guests.ensure(there, tell)
    with files_of(lab.part("old")) as tree:
        guests.write_disks(there, "old", tree, [NAME])
    lab.console("old", ["sh", "-c", guests.define_script(there, "old", [NAME])], timeout=120)
    beside.lab.ask(NAME, BOOT_SECONDS)
    yield beside
    leave(beside)


def leave(beside: Beside) -> None:
    """Take the guest away from both hosts."""
    lines = f"virsh destroy {NAME}; virsh undefine --nvram {NAME}; rm -rf {IMAGES}/{NAME}* {EXTRA}"
    watch.console(beside.lab, "old", f"({lines}) >/dev/null 2>&1 || :")
    beside.delete("pve1", VMID)


def sums(lab: Lab) -> tuple[list[str], list[str]]:
    """Return the hash of each disk at rest, at the source and on the node, by stock tools."""
    whole = f"{IMAGES}/{NAME}-whole"
    files = f"{whole} {IMAGES}/{NAME}-sda.raw {IMAGES}/{NAME}-sdb.raw"
    flat = f"qemu-img convert -O raw {IMAGES}/{NAME}.qcow2 {whole}"
    there = watch.console(lab, "old", f"{flat}; sha256sum {files}; rm {whole}")
    here = watch.console(lab, "pve1", f"sha256sum {' '.join(volumes(lab))}")
    return hashes(there), hashes(here)


def hashes(said: str) -> list[str]:
    return [line.split()[0] for line in said.splitlines()]


def volumes(lab: Lab) -> list[str]:
    """Return the files of the guest's disks on the node, in the order of the town file."""
    folder = f"/srv/vmdata/images/{VMID}"
    config = watch.console(lab, "pve1", f"qm config {VMID}; ls {folder}")
    hidden = [line for line in config.splitlines() if line.startswith(("efidisk", "tpmstate"))]
    listed = sorted(line for line in config.splitlines() if line.startswith("vm-"))
    return [f"{folder}/{name}" for name in listed if not any(name in line for line in hidden)]


def numbers(lab: Lab) -> list[int]:
    """Return the last number on each disk's copy."""
    lines = [
        f"od -An -td8 -j {NUMBERS[disk['name']] * 1024} -N 8 {file}"
        for disk, file in zip(DISKS, volumes(lab), strict=True)
    ]
    return [int(word) for word in watch.console(lab, "pve1", "; ".join(lines)).split()]


def come(lab: Lab, folder: Path, event: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a move's journal has an event."""
    journal = folder / "build" / "migrate" / NAME / "journal.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.exists() and f'"{event}"' in journal.read_text()):
        assert time.monotonic() < deadline, event
        assert process.poll() is None, "the move ended"
        time.sleep(0.2)


class TestRegistry:
    before: dict[str, Any]

    def test_the_plan_names_each_change_and_there_is_none(self, town: Beside) -> None:
        town.do("releve", "-i", ".", "migrate", "plan", NAME, "--probe", "0")

        (plan,) = sorted((town.folder / "build/migrate/plan").glob("*.json"))[-1:]
        seen = json.loads(plan.read_text())["guests"][NAME]["identity"]
        assert [one for one in seen if not one["kept"]] == []
        kept = {one["id"] for one in seen}
        assert {"smbios.uuid", "smbios.serial", "vmgenid", "tpm", "cpu", "sda.serial"} <= kept

    def test_a_disk_that_comes_after_the_copy_is_seen(self, town: Beside) -> None:
        lab = town.lab
        type(self).before = town.ask(NAME, "identity")
        town.ask(NAME, "load 5")
        argv = [str(Path(sys.executable).with_name("releve")), "-i", ".", "migrate", "run", NAME]
        with subprocess.Popen(
            lab.workstation([*argv, "--wait"]), cwd=town.folder, env=environment(lab),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            come(lab, town.folder, "waits", process)
            attach = f"virsh attach-disk {NAME} {EXTRA} sdc --targetbus scsi --live"
            watch.console(lab, "old", f"truncate -s 8M {EXTRA}; {attach}")
            town.do("releve", "-i", ".", "migrate", "cutover", NAME, "--now", code=None)
            assert process.wait(timeout=60) != 0

        assert "registre.completed" in town.failed("migrate")
        await_newer(lab, NAME)
        watch.console(lab, "old", f"virsh detach-disk {NAME} sdc --live")

    def test_every_byte_of_every_disk_is_there(self, town: Beside) -> None:
        """While it writes 5 MB/s on one disk and a number on each; the seed is not made anew."""
        newest = town.lab.ask(NAME).newest

        town.do("releve", "-i", ".", "migrate", "run", NAME, "--hold")

        assert town.failed("migrate") == set()
        there, here = sums(town.lab)
        assert there == here
        first, *others = numbers(town.lab)
        assert all(first - 1 <= other <= first for other in others), (first, others)
        assert first > 0
        state = f"ls /var/lib/libvirt/swtpm/{MACHINE}/tpm2/tpm2-00.permall"
        watch.console(town.lab, "old", state)  # the way back has its TPM
        assert newest > 0

    def test_it_sees_the_very_same_machine(self, town: Beside) -> None:
        town.do("releve", "-i", ".", "migrate", "run", NAME)

        assert town.failed("migrate") == set()
        after = town.ask(NAME, "identity")
        assert after == self.before
        assert str(uuid.UUID(bytes_le=bytes.fromhex(after["generation"]))) == GENERATION
        assert after["uuid"] == MACHINE
        assert after["tpm"].startswith("00000000:")
        assert {serial: one["bus"] for serial, one in after["disks"].items()} == {
            "SYS-1": "virtio", "DATA-2": "scsi", "LVM-3": "sata",
        }  # fmt: skip
        assert town.lab.ask(NAME).whole

    def test_it_is_the_same_after_a_power_cut_of_its_node(self, town: Beside, lab: Lab) -> None:
        lab.power_cut("pve1")
        lab.power_on("pve1")
        lab.await_ready("pve1")

        assert town.lab.ask(NAME, BOOT_SECONDS).whole
        assert town.ask(NAME, "identity") == self.before
        for other in lab.town.guests:
            lab.ask(other, BOOT_SECONDS)

    def test_the_node_does_not_look_into_its_volume_group(self, town: Beside) -> None:
        """Its third disk holds a group named as the node's own."""
        filtered = watch.console(town.lab, "pve1", "cat /etc/lvm/lvmlocal.conf")
        with files_of(town.lab.part("pve1")) as tree:
            disk = tree / volumes(town.lab)[-1].removeprefix("/")

            assert lvm.groups(disk) == ["pve"]
            assert lvm.groups(disk, filtered) == []
