"""What the town file says of a lab guest is what libvirt is told, and what a survey reads back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from releve.errors import InputError
from releve.lab import guests
from releve.lab.domains import domain
from releve.migrate.identity import disk_entry, identity_entry
from releve.migrate.sources.libvirt import parse_domain
from releve.town import load_town
from releve.town.model import Guest

if TYPE_CHECKING:
    from releve.town import Town

LAB = Path(__file__).parents[3] / "inventory" / "lab"
RICH: dict[str, Any] = {
    "firmware": "uefi",
    "machine_version": "7.2",
    "smbios": {"uuid": "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a", "serial": "A & B"},
    "vmgenid": "a1b2c3d4-1122-4334-8455-66778899aabb",
    "cpu": "Nehalem",
    "tpm": "2.0",
    "scsi_controller": "virtio-scsi-pci",
    "disks": [
        {"name": "vda", "format": "qcow2", "size_mib": 128, "bus": "virtio", "serial": "SYS-1"},
        {"name": "sda", "format": "raw", "size_mib": 64, "bus": "scsi", "serial": "DATA-2"},
        {"name": "sdb", "format": "raw", "size_mib": 64, "bus": "sata", "serial": "LVM-3"},
    ],
}


def town(**keys: Any) -> Town:
    """Return the lab's town with another compta."""
    read = load_town(LAB)
    said = read.guests["compta"].model_dump(mode="json", exclude_unset=True)
    guest = Guest.model_validate({**said, **keys})
    return read.model_copy(update={"guests": {**read.guests, "compta": guest}})


def test_a_survey_reads_what_the_town_file_says() -> None:
    read = parse_domain(domain(town(**RICH), "compta"), "compta")

    identity = {key: RICH[key] for key in RICH if key not in {"firmware", "disks"}}
    assert identity_entry(read) == identity
    assert read.firmware == "uefi"
    assert [(disk.target, disk.bus, disk_entry(disk)["serial"]) for disk in read.disks] == [
        ("vda", "virtio", "SYS-1"),
        ("sda", "scsi", "DATA-2"),
        ("sdb", "sata", "LVM-3"),
    ]


def test_a_guest_of_one_disk_has_nothing_of_that() -> None:
    text = domain(town(), "compta")

    assert "<cpu mode='maximum'/>" in text
    assert not [word for word in ("<tpm", "<genid", "<sysinfo", "controller") if word in text]
    assert guests.define_script(town(), "old", ["compta"]).splitlines()[1:] == [
        "virsh --quiet define /root/compta.xml",
        "rm /root/compta.xml",
        "virsh --quiet autostart compta",
        "virsh --quiet start compta",
    ]


def test_the_system_of_a_guest_of_several_disks_has_a_backing_file() -> None:
    script = guests.define_script(town(**RICH), "old", ["compta"])

    assert "-b compta-base.qcow2 compta.qcow2" in script


def test_a_further_disk_that_the_guest_could_not_write_on_is_refused() -> None:
    small = [*RICH["disks"][:2], {**RICH["disks"][2], "size_mib": 32}]

    with pytest.raises(InputError, match="of 64 MiB or more"):
        guests.disk_of(town(**{**RICH, "disks": small}), "compta")
