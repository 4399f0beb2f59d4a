"""What a plan knows of a guest of an old Proxmox VE: its file, its volumes, who else names them."""

from __future__ import annotations

import json

import pytest

from releve.migrate.identify import identity_of
from releve.migrate.preflight.collect_pve import facts_of, questions, users_of
from releve.migrate.preflight.sections import Answer
from releve.migrate.sources.base import SourceGuest
from releve.migrate.sources.pve_guest import parse_conf

GIB = 1 << 30
CONF = """\
bios: ovmf
efidisk0: local-lvm:vm-150-disk-1,efitype=4m,size=4M
machine: pc-q35-7.2
memory: 512
name: mairie
net0: virtio=52:54:00:AA:00:01,bridge=vmbr0
scsi0: local-lvm:vm-150-disk-0,serial=SYS-7,size=1G
smbios1: uuid=7b0c3d52-6a1e-4f0b-9c55-0d3f2a1b4c5e,serial=QVQtNzE=,base64=1
vmgenid: 0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1
[before-update]
lock: backup
"""
GUEST = SourceGuest(
    "mairie", "7b0c", 150, "running", False, False, (), CONF, (), (), None, (), 0
)  # fmt: skip


def image(size: int, form: str = "raw") -> str:
    return json.dumps({"virtual-size": size, "format": form, "filename": "/dev/pve/x"})


def answers(efi: str, disk: Answer | None = None) -> dict[str, Answer]:
    good = Answer(f"/dev/pve/vm-150-disk-0\n[{image(GIB)}]", 0)
    return {"confs": Answer("", 0), "scsi0": disk or good, "firmware": Answer(efi, 0)}


def test_a_volume_that_its_storage_rounded_up_holds_variables_of_their_own_size() -> None:
    domain = parse_conf(CONF, "150.conf", 150)
    assert set(questions(domain, "/etc/pve/qemu-server")) == {"confs", "scsi0", "firmware"}

    facts = facts_of(GUEST, domain, answers(image(4 << 20)))

    assert facts.firmware is not None
    assert facts.firmware.size == 540_672
    assert facts.lock == "", "a snapshot's lock is not the guest's"
    (disk,) = facts.disks
    assert (disk.file, disk.size, disk.error) == ("/dev/pve/vm-150-disk-0", GIB, "")


@pytest.mark.parametrize("efi", [image(4096), image(4 << 20, "qcow2"), "pvesm: no such volume"])
def test_variables_that_cannot_be_carried_have_no_size(efi: str) -> None:
    facts = facts_of(GUEST, parse_conf(CONF, "150.conf", 150), answers(efi))

    assert facts.firmware is not None
    assert facts.firmware.size is None


def test_a_volume_that_cannot_be_read_says_why() -> None:
    lost = Answer("storage 'nas' is not online", 255)

    (disk,) = facts_of(GUEST, parse_conf(CONF, "150.conf", 150), answers("", lost)).disks

    assert disk.error == "storage 'nas' is not online"
    assert disk.size is None


def test_who_else_names_a_volume() -> None:
    volume = "local:150/vm-150-disk-0.raw"
    confs = (
        f"150.conf:scsi0: {volume},size=1G\n"
        f"151.conf:sata1: {volume},backup=0\n"
        f"152.conf:scsi0: {volume}.old,size=1G\n"
        f"153.conf:unused0: {volume}\n"
    )

    assert users_of(volume, 150, confs) == ("151", "153")


def test_the_identity_is_that_of_the_file() -> None:
    kept = identity_of("mairie", CONF)

    assert kept["machine_version"] == "7.2"
    assert kept["smbios"] == {
        "uuid": "7b0c3d52-6a1e-4f0b-9c55-0d3f2a1b4c5e", "serial": "AT-71",
    }  # fmt: skip
    assert kept["vmgenid"] == "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"
    assert kept["disks"] == {"scsi0": {"serial": "SYS-7"}}
    assert identity_of("mairie", "") == {}
