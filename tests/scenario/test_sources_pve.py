"""A guest of an old Proxmox VE, moved while it works by what its QEMU records of its writes.

The old host is the double too: a real QEMU with PVE's sockets, qmeventd and files around it. The
tests are one story and run in its order.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.scenario import watch
from tests.scenario.beside import Beside
from tests.scenario.stage import provision, tell

from releve.lab import extra, guests
from releve.lab.hosts import copy_sparse, place
from releve.lab.podman import files_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
HOST, NAME, OLD_VMID, VMID = "oldpve", "etatcivil", 150, 111
MACHINE = "7b0c3d52-6a1e-4f0b-9c55-0d3f2a1b4c5e"
GENERATION = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"
MAC, ADDRESS, WITNESS = "52:54:00:91:00:0b", "198.51.100.24", 7000
FOLDER = f"/var/lib/vz/images/{OLD_VMID}"
DISKS: list[dict[str, Any]] = [
    {"name": "scsi0", "format": "raw", "size_mib": 128, "bus": "scsi"},
    {"name": "scsi1", "format": "raw", "size_mib": 64, "bus": "scsi"},
]
# What the old host's file says is not said again: it is read there and kept.
GUEST = {
    "vmid": VMID,
    "source": HOST,
    "source_name": str(OLD_VMID),
    "target": "pve1",
    "storage": "vmdata",
    "pool": "services",
    "firmware": "uefi",
    "machine": "q35",
    "memory_mib": 256,
    "autostart": True,
    "stop_seconds": 20,
    "nics": [{"mac": MAC, "network": "office", "address": ADDRESS}],
    "disks": DISKS,
    "witness": {"port": WITNESS},
}
CONF = f"""\
bios: ovmf
boot: order=scsi0
cores: 1
cpu: Nehalem
efidisk0: local:{OLD_VMID}/vm-{OLD_VMID}-disk-2.raw,efitype=4m,size=528K
machine: pc-q35-7.2
memory: 256
name: {NAME}
net0: virtio={MAC.upper()},bridge=br0
onboot: 1
ostype: l26
scsi0: local:{OLD_VMID}/vm-{OLD_VMID}-disk-0.raw,serial=SYS-7,size=128M
scsi1: local:{OLD_VMID}/vm-{OLD_VMID}-disk-1.raw,size=64M
scsihw: virtio-scsi-single
smbios1: uuid={MACHINE},serial=QVQtMjAxOC0wMDcx,base64=1
vmgenid: {GENERATION}
"""
CONTAINER = "arch: amd64\nhostname: dns\nmemory: 512\nrootfs: local:151/vm-151-disk-0.raw,size=8G\n"
PCT = """\
#!/bin/sh
echo 'VMID       Status     Lock         Name'
echo '151        stopped                 dns'
"""
BOOT_SECONDS = 120
MOVE = ("releve", "-i", ".", "migrate")


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Beside]:
    """Give the town with an old Proxmox VE and its guest at work."""
    provision(lab)
    host = extra.up(lab, HOST, extra.Wish(image="node", double=True, bridge="br0"))
    old = {"kind": "old", "address": str(host.address), "network": "office", "hypervisor": "pve"}
    changes = {"hosts": {HOST: old}, "guests": {"compta": None, "dossiers": None, NAME: GUEST}}
    beside = Beside.of(lab, "pve", changes)
    guests.ensure(beside.lab.town, tell)
    with files_of(lab.part(HOST)) as tree:
        folder = tree / FOLDER.removeprefix("/")
        copy_sparse(guests.disk_of(beside.lab.town, NAME), folder / f"vm-{OLD_VMID}-disk-0.raw")
        place(tree / "etc/pve/qemu-server" / f"{OLD_VMID}.conf", CONF, 0o640)
        place(tree / "etc/pve/lxc/151.conf", CONTAINER, 0o640)
        place(tree / "usr/sbin/pct", PCT, 0o755)
    variables = f"cp /usr/share/OVMF/OVMF_VARS_4M.fd {FOLDER}/vm-{OLD_VMID}-disk-2.raw"
    second = f"truncate -s 64M {FOLDER}/vm-{OLD_VMID}-disk-1.raw"
    watch.console(lab, HOST, f"{variables}; {second}; qm start {OLD_VMID}")
    beside.lab.ask(NAME, BOOT_SECONDS)
    yield beside
    beside.delete("pve1", VMID)
    extra.down(lab, HOST)


def conf(lab: Lab) -> str:
    return watch.console(lab, HOST, f"cat /etc/pve/qemu-server/{OLD_VMID}.conf")


def state(lab: Lab) -> str:
    return watch.console(lab, HOST, f"qm status {OLD_VMID}").split()[1]


def hashes(lab: Lab, host: str, files: str) -> list[str]:
    return [line.split()[0] for line in watch.console(lab, host, f"sha256sum {files}").splitlines()]


def volumes(lab: Lab) -> str:
    """Return the files of both disks on the node, in their order."""
    folder = f"/srv/vmdata/images/{VMID}"
    lines = watch.console(lab, "pve1", f"ls {folder}; qm config {VMID}").splitlines()
    (efi,) = (line for line in lines if line.startswith("efidisk0"))
    named = sorted(line for line in lines if line.startswith("vm-") and line not in efi)
    assert len(named) == len(DISKS), lines
    return " ".join(f"{folder}/{name}" for name in named)


def test_the_survey_names_guests_and_containers(town: Beside) -> None:
    said = town.do("releve", "-i", ".", "survey", HOST)

    assert town.failed("survey") == set()
    assert re.search(r"dns \(151\): a container: back it up with vzdump", said)
    fragment = (town.folder / "build/survey" / f"{HOST}.yml").read_text()
    assert yaml.safe_load(fragment)["guests"][NAME]["source_name"] == str(OLD_VMID)


def test_the_plan_has_the_facts_of_the_guest(town: Beside) -> None:
    town.do(*MOVE, "plan", NAME, "--probe", "0")

    (file,) = (town.folder / "build/migrate/plan").glob("*.json")
    plan = json.loads(file.read_text())["guests"][NAME]
    assert {disk["rung"] for disk in plan["rungs"].values()} == {"bitmaps"}
    verdicts = {check["id"]: check["verdict"] for check in plan["checks"]}
    assert verdicts["firmware-variables-fit"] == "passed"
    assert verdicts["no-block-job"] == "passed"
    assert [one for one in plan["identity"] if not one["kept"]] == []


def test_a_backup_that_runs_is_waited_for(town: Beside) -> None:
    lab = town.lab
    watch.console(lab, HOST, f"qm set {OLD_VMID} --lock backup")

    said = town.do(*MOVE, "run", NAME, code=None)

    assert "backup" in said
    watch.console(lab, HOST, f"qm unlock {OLD_VMID}")
    assert state(lab) == "running"
    assert not lab.console("pve1", ["qm", "config", str(VMID)], check=False).stdout


def test_a_change_of_mind_gives_the_very_file_back(town: Beside) -> None:
    lab, before = town.lab, conf(town.lab)
    boots = lab.ask(NAME).boots

    town.do(*MOVE, "run", NAME, "--hold")

    assert town.failed("migrate") == set()
    there = hashes(
        lab, HOST, f"{FOLDER}/vm-{OLD_VMID}-disk-0.raw {FOLDER}/vm-{OLD_VMID}-disk-1.raw"
    )
    assert there == hashes(lab, "pve1", volumes(lab))
    started = lab.console(HOST, ["qm", "start", str(OLD_VMID)], check=False)
    assert started.returncode != 0
    assert "locked (migrate)" in started.stderr + started.stdout

    town.do(*MOVE, "rollback", NAME, "--yes")

    assert conf(lab) == before
    assert lab.ask(NAME, BOOT_SECONDS).boots == boots + 1
    assert lab.ask(NAME).whole


def test_it_moves_with_every_byte_and_sees_the_same_machine(town: Beside) -> None:
    lab = town.lab
    before = town.ask(NAME, "identity")
    newest = lab.ask(NAME).newest

    town.do(*MOVE, "run", NAME)

    assert town.failed("migrate") == set()
    after = watch.chain(lab, NAME)
    assert after["chain"] == "whole"
    assert after["newest"] > newest
    assert town.ask(NAME, "identity") == before
    assert (before["uuid"], before["serial"]) == (MACHINE, "AT-2018-0071")
    assert state(lab) == "stopped"
    left = watch.console(lab, HOST, "ls -d /run/releve/* 2>/dev/null || :; pgrep -c qemu || :")
    assert left == "0\n"
    assert watch.console(lab, HOST, "grep -c . /root/.ssh/authorized_keys") == "1\n"


def test_it_goes_on_when_the_old_host_is_started_again(town: Beside) -> None:
    """The old host starts what has `onboot`: the moved guest's lock keeps it off."""
    lab = town.lab

    lab.console(HOST, ["systemctl", "restart", "pve-guests"], check=False)

    assert state(lab) == "stopped"
    assert lab.ask(NAME).whole
