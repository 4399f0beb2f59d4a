"""A guest's file of an old Proxmox VE is read as PVE reads it."""

from __future__ import annotations

import pytest

from releve.errors import InputError
from releve.migrate.identity import identity_entry
from releve.migrate.sources.pve_guest import parse_conf

PLAIN = """\
#Payroll%3A the old one
#scsi9%3A local-lvm%3Avm-101-disk-9
agent: 1
boot: order=scsi0;ide2;net0
cores: 2
cpu: host,flags=+pcid
ide2: local:iso/debian.iso,media=cdrom
machine: pc-q35-8.1
memory: 2048
name: payroll
net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=12,firewall=1
ostype: l26
scsi0: local-lvm:vm-101-disk-0,discard=on,serial=S1,size=32G
scsihw: virtio-scsi-pci
smbios1: uuid=0f0f0f0f-0000-4000-8000-000000000001,serial=QUIxMg==,base64=1
sockets: 2
vmgenid: 11111111-2222-4333-8444-555555555555
"""


def blockers(text: str, vmid: int | None = 101) -> set[str]:
    return {blocker.id for blocker in parse_conf(text, "101.conf", vmid).blockers}


def test_a_plain_guest_is_read() -> None:
    guest = parse_conf(PLAIN, "101.conf", 101)

    assert (guest.name, guest.chipset, guest.cpus, guest.memory_mib) == ("payroll", "q35", 4, 2048)
    (disk,) = guest.disks
    assert (disk.target, disk.bus, disk.size, disk.serial) == ("scsi0", "scsi", 32 * 2**30, "S1")
    (nic,) = guest.nics
    assert (nic.mac, nic.source, nic.vlans) == ("bc:24:11:00:00:01", "vmbr0", (12,))
    assert guest.agent
    assert guest.blockers == ()
    assert guest.unknown == ()


def test_what_it_sees_of_its_machine_is_kept() -> None:
    assert identity_entry(parse_conf(PLAIN, "101.conf", 101)) == {
        "machine_version": "8.1",
        "smbios": {"uuid": "0f0f0f0f-0000-4000-8000-000000000001", "serial": "AB12"},
        "vmgenid": "11111111-2222-4333-8444-555555555555",
        "cpu": "host,flags=+pcid",
        "scsi_controller": "virtio-scsi-pci",
        "sockets": 2,
    }


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("hostpci0: 0000:01:00.0,pcie=1", {"passthrough-pci"}),
        ("hostpci0: mapping=gpu,mdev=nvidia-63", {"passthrough-pci", "passthrough-mdev"}),
        ("hostpci0: 01:00,romfile=x.rom", {"passthrough-pci", "passthrough-romfile"}),
        ("usb0: host=046d:c016", {"passthrough-usb"}),
        ("usb0: spice,usb3=1", set()),
        ("serial0: socket", set()),
        ("serial0: /dev/ttyS0", {"serial-host-device"}),
        ("args: -snapshot", {"qemu-args"}),
        ("args: ", set()),
        ("hookscript: local:snippets/x.pl", {"hookscript"}),
        ("unused0: local-lvm:vm-101-disk-7", {"unused-volume"}),
        ("lock: backup", {"locked"}),
        ("lock: suspended", {"locked", "suspended"}),
        ("parent: gone", {"snapshot-parent-missing"}),
        ("virtio0: local-lvm:vm-101-disk-0", {"disk-duplicate-volume"}),
        ("virtio0: local-lvm:vm-999-disk-0", {"disk-foreign-volume"}),
        ("virtio0: /dev/disk/by-id/x", {"disk-raw-path"}),
        ("virtio0: local:101/vm-101-disk-1.qcow2,snapshot=1", {"disk-transient"}),
        ("scsi1: local:iso/boot.iso,size=150M", set()),
        ("scsi1: local-lvm:base-9-disk-0/vm-101-disk-1", set()),
        ("ide0: local-lvm:vm-101-cloudinit,media=cdrom", set()),
        ("amd-sev: type=std", {"launch-security"}),
        ("arch: aarch64", {"arch-aarch64"}),
        ("cpu: custom-mine", {"cpu-custom-model"}),
        ("virtiofs0: share", {"share-virtiofs"}),
        ("warp0: 9", {"device-unknown"}),
        ("scsi31: local-lvm:vm-101-disk-1", {"device-unknown"}),
        ("[PENDING]\nmemory: 4096", {"pending-changes"}),
        ("[special:cloudinit]\nname: x", set()),
        ("[before]\nscsi0: local-lvm:vm-101-disk-0\nsnaptime: 1", {"snapshot"}),
    ],
)
def test_what_cannot_move_as_it_is_blocks(line: str, found: set[str]) -> None:
    assert blockers(PLAIN + line) == found


def test_keys_below_a_comment_count_and_commented_ones_do_not() -> None:
    assert blockers(PLAIN + "# hostpci1: 02:00\n# old\nhostpci0: 01:00") == {"passthrough-pci"}


def test_the_last_of_a_repeated_key_holds_and_it_is_said() -> None:
    guest = parse_conf(PLAIN + "memory: 512", "x")

    assert guest.memory_mib == 512
    assert any("memory" in part.text and "last one" in part.text for part in guest.parts)


def test_an_unknown_plain_key_is_named_and_does_not_block() -> None:
    guest = parse_conf(PLAIN + "colour: blue", "x", 101)

    assert [part.what for part in guest.unknown] == ["colour"]
    assert guest.blockers == ()


TWINS = """\
#args%3A -cpu none
args: -cpu host,kvm=off
bios: ovmf
boot: order=scsi0;net0;ide0
efidisk0: local-lvm:vm-102-disk-0,efitype=4m,size=4M
hostpci0: 0000:0f:00,romfile=gpu.rom
ide0: local:iso/win.iso,media=cdrom
machine: pc-q35-8.0
name: twins
scsi0: local-lvm:vm-102-disk-1,size=48G
scsi1: hdd500g:vm-102-disk-1,backup=0,size=400G
tpmstate0: local-lvm:vm-102-disk-2,size=4M,version=v2.0
usb0: host=1-1
"""


def test_two_volumes_of_one_name_on_two_storages_are_two_disks() -> None:
    guest = parse_conf(TWINS, "102.conf", 102)

    assert [(disk.source, (disk.size or 0) >> 30) for disk in guest.disks] == [
        ("local-lvm:vm-102-disk-1", 48),
        ("hdd500g:vm-102-disk-1", 400),
    ]
    assert {one.id for one in guest.blockers} == {
        *("passthrough-pci", "passthrough-romfile", "passthrough-usb", "qemu-args")
    }
    assert any("the CD-ROM ide0" in note or "net0" in note for note in guest.notes)
    assert any("args: -cpu none" in note for note in guest.notes)
    assert (guest.nvram, guest.identity.tpm and guest.identity.tpm.version) == (
        "local-lvm:vm-102-disk-0",
        "2.0",
    )


OLD = """\
bios: ovmf
bootdisk: scsi0
efidisk0: local-zfs:vm-100-disk-1,size=1M
machine: pc-q35-5.2
name: old
scsi0: local-zfs:vm-100-disk-0,backup=0,replicate=0,size=8G
"""


def test_a_missing_key_means_what_it_meant_when_it_was_written() -> None:
    guest = parse_conf(OLD, "100.conf", 100)

    assert any("efitype" in note and "2m" in note for note in guest.notes)
    assert any("backup=0" in note for note in guest.notes)
    assert guest.identity.cpu.model == "kvm64"
    assert guest.identity.scsi_controller == "lsi"
    assert len(guest.disks) == 1


def test_volumes_named_for_another_guest_are_still_this_ones() -> None:
    guest = parse_conf(OLD.replace("vm-100", "vm-106"), "100.conf", 100)

    assert [disk.source for disk in guest.disks] == ["local-zfs:vm-106-disk-0"]
    assert {one.id for one in guest.blockers} == {"disk-foreign-volume"}
    assert all("106" in one.text for one in guest.blockers)


def test_a_container_is_recognised_and_its_way_is_named() -> None:
    guest = parse_conf(
        "arch: amd64\nhostname: dns\nmemory: 512\nrootfs: local:200/vm-200-disk-0.raw,size=8G\n"
        "mp0: /srv/x,mp=/x\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02\n"
        "lxc.mount.entry: /dev/dri dev/dri none bind",
        "200.conf",
        200,
    )

    assert (guest.hypervisor, guest.name, len(guest.disks)) == ("lxc", "dns", 2)
    assert {one.id for one in guest.blockers} == {"container-lxc", "bind-mount"}
    assert "vzdump" in guest.notes[0]


@pytest.mark.parametrize("text", ["", "\0\0", "just words\n", "x" * 2**21])
def test_what_is_no_guests_file_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"^x\.conf: .*no guest's file"):
        parse_conf(text, "x.conf")
