"""A libvirt definition becomes a guest, and nothing in it is dropped in silence."""

from __future__ import annotations

import pytest

from releve.errors import InputError
from releve.migrate.sources.libvirt import parse_domain

PLAIN = """\
<domain type='kvm'>
  <name>mairie</name>
  <uuid>0f0f0f0f-0000-4000-8000-000000000001</uuid>
  <memory unit='MiB'>2048</memory>
  <vcpu current='2'>4</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-4.2'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw'/><source dev='/dev/vg0/mairie'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:AA:00:01'/><source bridge='br0'/><model type='virtio'/>
    </interface>
    <serial type='pty'/><console type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <sound model='ich6'/>
  </devices>
</domain>
"""


def with_device(xml: str) -> str:
    return PLAIN.replace("</devices>", f"{xml}</devices>")


def blockers(xml: str) -> set[str]:
    return {blocker.id for blocker in parse_domain(xml, "x").blockers}


def test_a_plain_guest_is_read() -> None:
    guest = parse_domain(PLAIN, "mairie.xml")

    assert (guest.name, guest.chipset, guest.firmware) == ("mairie", "pc", "bios")
    assert (guest.memory_mib, guest.cpus, guest.cpus_max) == (2048, 2, 4)
    (disk,) = guest.disks
    assert (disk.source, disk.format, disk.bus) == ("/dev/vg0/mairie", "raw", "virtio")
    (nic,) = guest.nics
    assert (nic.mac, nic.source, nic.model) == ("52:54:00:aa:00:01", "br0", "virtio")
    assert guest.acpi
    assert guest.agent
    assert guest.blockers == ()


def test_every_device_has_a_fate() -> None:
    guest = parse_domain(PLAIN, "mairie.xml")

    fates = {part.what: part.fate for part in guest.parts}
    assert len(guest.parts) == 8
    assert fates["disk hda"] == "dropped"
    assert fates["sound"] == "dropped"
    assert fates["emulator"] == "replaced"


def test_a_device_nobody_heard_of_is_named_and_blocks() -> None:
    guest = parse_domain(with_device("<teleporter/>"), "x")

    assert [part.what for part in guest.unknown] == ["teleporter"]
    assert [blocker.id for blocker in guest.blockers] == ["device-unknown"]


def test_a_part_of_the_guest_nobody_heard_of_is_named() -> None:
    guest = parse_domain(PLAIN.replace("<features>", "<quantum/><features>"), "x")

    assert [part.what for part in guest.unknown] == ["quantum"]


@pytest.mark.parametrize(
    ("memory", "mib"),
    [
        ("<memory>524288</memory>", 512),
        ("<memory unit='b'>8388608</memory>", 8),
        ("<memory unit='GiB'>2</memory>", 2048),
        ("<memory unit='KB'>1049</memory>", 2),
    ],
)
def test_memory_is_read_in_its_unit(memory: str, mib: int) -> None:
    xml = PLAIN.replace("<memory unit='MiB'>2048</memory>", memory)

    assert parse_domain(xml, "x").memory_mib == mib


def test_nonsense_for_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="stands where"):
        parse_domain(PLAIN.replace("current='2'", "current='two'"), "x")


def test_memory_in_a_unit_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="unit"):
        parse_domain(PLAIN.replace("unit='MiB'", "unit='pages'"), "x")


@pytest.mark.parametrize(
    ("system", "firmware", "found"),
    [
        ("<os firmware='efi'><type>hvm</type></os>", "uefi", set()),
        (
            "<os><type>hvm</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/CODE.fd"
            "</loader></os>",
            "uefi",
            set(),
        ),
        ("<os><type>hvm</type><loader>/usr/share/seabios/bios.bin</loader></os>", "bios", set()),
        (
            "<os><type>hvm</type><loader type='rom'>/usr/share/OVMF/OVMF.fd</loader></os>",
            "uefi",
            {"firmware-uefi-as-rom"},
        ),
        (
            "<os><type>hvm</type><loader type='pflash'>/home/x/OVMF.fd</loader></os>",
            "uefi",
            {"firmware-custom", "firmware-rw-loader"},
        ),
        ("<os><type>hvm</type><kernel>/boot/vmlinuz</kernel></os>", "bios", {"boot-kernel"}),
        ("<os><type>hvm</type><kernel/></os>", "bios", set()),
        ("<os><type arch='aarch64'>hvm</type></os>", "bios", {"arch-aarch64"}),
    ],
)
def test_firmware_is_found_where_it_stands(system: str, firmware: str, found: set[str]) -> None:
    start, end = PLAIN.index("<os>"), PLAIN.index("</os>") + len("</os>")
    xml = PLAIN[:start] + system + PLAIN[end:]

    assert parse_domain(xml, "x").firmware == firmware
    assert blockers(xml) == found


DISK = "<disk type='{}' device='disk'>{}<target dev='vdb' bus='virtio'/></disk>"


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", {"passthrough-pci"}),
        ("<interface type='hostdev'/>", {"passthrough-pci"}),
        ("<interface type='direct'><source mode='bridge'/></interface>", set()),
        ("<interface type='direct'><source mode='vepa'/></interface>", {"nic-direct-vepa"}),
        ("<interface type='user'/>", set()),
        ("<interface type='network'><model type='tulip'/></interface>", {"nic-model"}),
        (DISK.format("file", "<source file='/a'/><shareable/>"), {"disk-shareable"}),
        (DISK.format("file", ""), {"disk-source-missing"}),
        (DISK.format("network", "<source protocol='rbd' name='a'/>"), {"disk-network-rbd"}),
        (DISK.format("volume", "<source pool='p' volume='v'/>"), {"disk-volume-unresolved"}),
        (DISK.format("file", "<source file='/a'/><mirror/>"), {"block-job-active"}),
        (DISK.format("block", "<source dev='/dev/vg0/mairie'/>"), {"disk-duplicate-volume"}),
        (
            DISK.format(
                "file",
                "<source file='/a'/><backingStore type='network'><source protocol='nbd'/>"
                "<backingStore/></backingStore>",
            ),
            {"disk-network-nbd"},
        ),
        ("<disk device='floppy'><source file='/f'/><target dev='fda'/></disk>", {"floppy"}),
        ("<disk device='floppy'><target dev='fda'/></disk>", set()),
        ("<serial type='tcp'/>", {"serial-backend"}),
        ("<serial type='dev'/>", {"serial-host-device"}),
        ("<tpm><backend type='emulator'/></tpm>", set()),
        ("<tpm><backend type='emulator'><encryption/></backend></tpm>", {"tpm-encrypted"}),
        ("<filesystem><driver type='virtiofs'/></filesystem>", {"share-virtiofs"}),
        (
            "<disk><source file='/s'/><target dev='sda' bus='scsi'/></disk>"
            "<controller type='scsi' model='buslogic'/>",
            {"scsi-controller-model"},
        ),
        (
            "<disk><source file='/s'/><target dev='sda' bus='scsi'/></disk>"
            "<controller type='scsi' model='virtio-scsi'/><controller type='scsi'/>",
            {"scsi-controllers-mixed"},
        ),
        (
            "<disk><source file='/s'/><target dev='sda' bus='scsi'/>"
            "<address type='drive' controller='1'/></disk>"
            "<controller type='scsi' model='buslogic'/>"
            "<controller type='scsi' index='1' model='virtio-scsi'/>",
            set(),
        ),
        ("<crypto model='virtio'/>", set()),
    ],
)
def test_what_cannot_move_as_it_is_blocks(device: str, found: set[str]) -> None:
    assert blockers(with_device(device)) == found


def test_more_disks_than_slots_block() -> None:
    disk = "<disk><source file='/d{0}'/><target dev='vd{0}' bus='virtio'/></disk>"
    xml = with_device("".join(disk.format(letter) for letter in "bcdefghijklmnopq"))

    assert "too-many-disks" in blockers(xml)


def test_qemu_arguments_are_seen_under_any_prefix() -> None:
    xml = PLAIN.replace(
        "<domain type='kvm'>",
        "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<q:commandline><q:arg value='-snapshot'/></q:commandline>",
    )

    assert blockers(xml) == {"qemu-commandline"}


def test_what_a_device_has_inside_is_named_when_nobody_heard_of_it() -> None:
    guest = parse_domain(PLAIN.replace("<mac ", "<warp/><mac "), "x")

    assert [part.what for part in guest.unknown] == ["interface/warp"]


def test_capabilities_for_qemu_are_no_free_text() -> None:
    xml = PLAIN.replace(
        "<domain type='kvm'>",
        "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<q:capabilities><q:add capability='incremental-backup'/></q:capabilities>",
    )

    assert blockers(xml) == set()
    assert "capabilities" in [part.what for part in parse_domain(xml, "x").parts]


def test_a_snapshot_is_no_guest_to_move() -> None:
    xml = f"<domainsnapshot><name>s</name>{PLAIN}</domainsnapshot>"

    assert parse_domain(xml, "x").name == "mairie"
    assert blockers(xml) == {"snapshot"}


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        ("<domain", "x: this is not XML"),
        ("", "x: this is not XML"),
        ("<network/>", "x: <network> holds no <domain>"),
        ("<domain type='kvm'/>", "x: the definition names no guest"),
        ('<!DOCTYPE d [<!ENTITY a "b">]><domain><name>&a;</name></domain>', "document type"),
        ("<domain>" + " " * 2**22 + "</domain>", "too many"),
    ],
)
def test_what_is_no_definition_is_refused_in_one_sentence(xml: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_domain(xml, "x")

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
