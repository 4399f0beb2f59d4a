"""What licences and domain controllers look at is read, kept in the town file, and given to PVE."""

from __future__ import annotations

import pytest

from releve.migrate.identity import cpu_of, disk_entry, identity_entry, identity_notes
from releve.migrate.sources.domain import Cpu, DiskFound
from releve.migrate.sources.libvirt import parse_domain
from releve.pve.identity import disk_options, identity_settings
from releve.town.model import Disk, Guest

WINDOWS = """\
<domain type='kvm'><name>dc</name><uuid>0F0F0F0F-0000-4000-8000-000000000001</uuid>
<genid>11111111-2222-4333-8444-555555555555</genid>
<memory unit='GiB'>4</memory><vcpu>4</vcpu>
<metadata><l:libosinfo xmlns:l="http://libosinfo.org/xmlns/libvirt/domain/1.0">
<l:os id="http://microsoft.com/win/2k19"/></l:libosinfo></metadata>
<sysinfo type='smbios'><system><entry name='manufacturer'>Dell Inc.</entry>
<entry name='serial'>AB12</entry></system></sysinfo>
<os><type arch='x86_64' machine='{machine}'>hvm</type><smbios mode='sysinfo'/></os>
<cpu mode='custom'><model>{model}</model><topology sockets='2' cores='2' threads='1'/>
<feature policy='require' name='aes'/><feature policy='disable' name='pcid'/>
<feature policy='require' name='x2apic'/></cpu>
<clock offset='localtime'/>
<devices><disk type='file' device='disk'><source file='/d'/><target dev='sda' bus='scsi'/>
<serial>S-1</serial><wwn>5000C50015EA71AA</wwn></disk>
<controller type='scsi' model='lsisas1078'/>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>
<model type='e1000e'/><vlan><tag id='12'/></vlan></interface>
<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm></devices></domain>
"""


def windows(machine: str = "pc-q35-6.2", model: str = "Haswell-noTSX") -> str:
    return WINDOWS.format(machine=machine, model=model)


def test_the_fragment_keeps_what_a_guest_sees_of_its_machine() -> None:
    guest = parse_domain(windows(), "dc.xml")

    assert identity_entry(guest) == {
        "machine_version": "6.2",
        "smbios": {
            "uuid": "0f0f0f0f-0000-4000-8000-000000000001",
            "serial": "AB12",
            "manufacturer": "Dell Inc.",
        },
        "vmgenid": "11111111-2222-4333-8444-555555555555",
        "cpu": "Haswell-noTSX,flags=+aes;-pcid",
        "clock": "localtime",
        "tpm": "2.0",
        "os": "win10",
        "scsi_controller": "megasas",
        "sockets": 2,
    }
    assert disk_entry(guest.disks[0]) == {"serial": "S-1", "wwn": "5000c50015ea71aa"}


def test_pve_is_told_all_of_it() -> None:
    guest = parse_domain(windows(), "dc.xml")
    disk = {"name": "sda", "format": "raw", "size_mib": 1, "bus": "scsi"}
    town = Guest.model_validate(
        {"vmid": 100, "source": "old", "target": "pve1", "storage": "s", "firmware": "bios"}
        | {"memory_mib": 4096, "cpus": 4, "disks": [disk | disk_entry(guest.disks[0])]}
        | identity_entry(guest)
    )

    assert identity_settings(town) == {
        "machine": "pc-q35-6.2",
        "ostype": "win10",
        "scsihw": "megasas",
        "localtime": True,
        "sockets": 2,
        "cores": 2,
        "smbios1": "uuid=0f0f0f0f-0000-4000-8000-000000000001,manufacturer=RGVsbCBJbmMu,"
        "serial=QUIxMg==,base64=1",
        "vmgenid": "11111111-2222-4333-8444-555555555555",
        "cpu": "Haswell-noTSX,flags=+aes;-pcid",
    }
    assert disk_options(town.disks[0]) == {"serial": "S-1", "wwn": "0x5000c50015ea71aa"}


@pytest.mark.parametrize(
    ("machine", "model", "said"),
    [
        ("pc-q35-rhel8.6.0", "Haswell", "pins no version that PVE has"),
        ("pc-i440fx-2.1", "Haswell", "was given up by QEMU: 2.4 is the oldest"),
        ("pc-i440fx-5.2", "Haswell", "will be given up by a later QEMU"),
        ("pc-q35-9.0", "Icelake-Client", "Icelake-Server replaces it"),
        ("pc-q35-6.2", "z14", "processor z14 has no name in PVE"),
        ("pc-q35-6.2", "Haswell", "processor flags that PVE sets for no single guest: +x2apic"),
    ],
)
def test_a_change_is_named_with_what_follows(machine: str, model: str, said: str) -> None:
    notes = "\n".join(identity_notes(parse_domain(windows(machine, model), "dc.xml")))

    assert said in notes


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        (Cpu("host"), "host"),
        (Cpu("host-model"), None),
        (Cpu("Icelake-Client"), "Icelake-Server"),
        (Cpu(None), None),
    ],
)
def test_a_processor_without_a_name_in_pve_is_left_to_a_person(
    cpu: Cpu, expected: str | None
) -> None:
    assert cpu_of(cpu) == expected


def test_a_controller_that_pves_uefi_cannot_start_from_is_replaced_and_said() -> None:
    text = windows().replace("<os>", "<os firmware='efi'>").replace("lsisas1078", "lsilogic")
    guest = parse_domain(text, "x")

    assert identity_entry(guest)["scsi_controller"] == "pvscsi"
    assert any("no driver for lsi: pvscsi is taken" in note for note in identity_notes(guest))


def test_a_machine_that_qemu_gave_up_is_not_written() -> None:
    assert "machine_version" not in identity_entry(parse_domain(windows("pc-i440fx-2.1"), "x"))


def test_a_serial_number_that_pve_refuses_is_not_written() -> None:
    disk = DiskFound("sda", "scsi", "file", "/d", "raw", serial="a b", wwn="12")

    assert disk_entry(disk) == {}


def test_a_disk_on_another_bus_shows_no_wwn() -> None:
    disk = Disk(name="sda", format="raw", size_mib=1, bus="sata", wwn="5000c50015ea71aa")

    assert disk_options(disk) == {}


def test_two_readings_of_a_guest_can_be_compared() -> None:
    before = parse_domain(windows(), "dc.xml").fingerprint()
    after = parse_domain(windows("pc-q35-9.2"), "dc.xml").fingerprint()

    assert {key for key in before if before[key] != after[key]} == {"machine"}
    assert before["nic.0.mac"] == "52:54:00:00:00:01"
    assert before["disk.0.serial"] == "S-1"
    assert before["cpu.flags"] == "+aes,+x2apic,-pcid"
