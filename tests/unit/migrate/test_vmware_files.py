"""VMware's files (vmx, ovf, vmdk) become guests and disks, and nothing in them is silent."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from releve.errors import InputError
from releve.migrate.sources.files import read_file
from releve.migrate.sources.vmware import genid_of, os_of, uuid_of

if TYPE_CHECKING:
    from pathlib import Path

    from releve.migrate.sources.reading import FileReading

VMX = """\
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "14"
displayName = "Payroll"
guestOS = "windows9-64"
memSize = "4096"
numvcpus = "4"
cpuid.coresPerSocket = "2"
SCSI0.PRESENT = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "payroll.vmdk
scsi0:1.present = "FALSE"
scsi0:1.fileName = "gone.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
ethernet0.addressType = "generated"
ethernet0.generatedAddress = "00:0C:29:00:00:01"
uuid.bios = "56 4d 13 eb 1c d8 dc a0-54 c2 c2 fa 3a b2 88 c2"
vm.genid = "-5378905103156231405"
vm.genidX = "6517024033116688051"
"""


def vmx(tmp_path: Path, more: str = "", text: str = VMX) -> FileReading:
    file = tmp_path / "payroll.vmx"
    file.write_text(text + more)
    return read_file(file)


def test_a_plain_guest_is_read(tmp_path: Path) -> None:
    reading = vmx(tmp_path)
    (guest,) = reading.guests

    assert reading.blockers == ()
    assert (guest.name, guest.memory_mib, guest.cpus) == ("Payroll", 4096, 4)
    assert [(disk.target, disk.source) for disk in guest.disks] == [("scsi0-0", "payroll.vmdk")]
    assert [(nic.mac, nic.model) for nic in guest.nics] == [("00:0c:29:00:00:01", "vmxnet3")]
    assert guest.identity.smbios.uuid == "564d13eb-1cd8-dca0-54c2-c2fa3ab288c2"
    assert (guest.identity.cpu.sockets, guest.identity.cpu.cores) == (2, 2)
    assert (guest.identity.os, guest.identity.clock) == ("win10", "localtime")
    assert any("gone" in part.text or part.what == "scsi0:1" for part in guest.parts)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('scsi0:0.fileName = "a-000001.vmdk"', {"snapshot"}),
        ('scsi0:0.mode = "independent-nonpersistent"', {"disk-nonpersistent"}),
        ('scsi0.sharedBus = "virtual"', {"disk-shareable"}),
        ('scsi0:0.sharing = "multi-writer"', {"disk-shareable"}),
        ('scsi0.virtualDev = "buslogic"', {"scsi-controller-model"}),
        ('serial0.present = "TRUE"\nserial0.fileType = "thinprint"', set()),
        ('serial0.present = "TRUE"\nserial0.fileType = "pipe"', {"serial-backend"}),
        ('floppy0.present = "TRUE"\nfloppy0.fileName = "x.flp"', {"floppy"}),
        ('sharedFolder0.present = "TRUE"', {"shared-dir"}),
        ('pciPassthru0.present = "TRUE"', {"passthrough-pci"}),
        ('usb.autoConnect.device0 = "0x1234"', {"passthrough-usb"}),
        ('vtpm.present = "TRUE"', {"tpm-vmware"}),
        ('encryption.keySafe = "x"', {"encrypted"}),
        ('checkpoint.vmState = "x.vmss"', {"suspended"}),
        ('ethernet0.virtualDev = "vmxnet"', {"nic-model"}),
        ('warp0.present = "TRUE"', {"device-unknown"}),
        ('ide0:0.present = "TRUE"\nide0:0.deviceType = "cdrom-image"', set()),
    ],
)
def test_what_cannot_move_as_it_is_blocks(tmp_path: Path, line: str, found: set[str]) -> None:
    assert {one.id for one in vmx(tmp_path, line).blockers} == found


def test_bytes_of_another_encoding_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "x.vmx"
    file.write_bytes(b'.encoding = "windows-1252"\nconfig.version = "8"\ndisplayName = "L\xe0"\n')

    assert read_file(file).facts["name"] == "Là"


def test_vmwares_words_become_ours() -> None:
    assert uuid_of("56 4d") is None
    assert genid_of("1", None) is None
    assert genid_of("1424963296993694319", "-5704120239402535687") == (
        "9f47526f-7c91-13c6-f9b4-4b2edde4d6b0"
    )
    assert [os_of(name) for name in ("rhel7-64", "windows2022srvNext-64", "zx81")] == [
        *("l26", "win11", None)
    ]


OVF = """\
<?xml version="1.0"?>
<o:Envelope xmlns:o="http://schemas.dmtf.org/ovf/envelope/1" xmlns:r="rasd" xmlns:v="vmw">
<o:References><o:File o:id="f1" o:href="{href}"/></o:References>
<o:DiskSection><o:Disk o:diskId="d1" o:fileRef="f1" o:capacity="{capacity}"
 o:capacityAllocationUnits="byte * 2^30"/>{disks}</o:DiskSection>{sections}
<o:VirtualSystem o:id="web"><o:Name>Web</o:Name>{hardware}</o:VirtualSystem></o:Envelope>
"""
HARDWARE = """<o:VirtualHardwareSection>
<o:Item><r:InstanceID>1</r:InstanceID><r:ResourceType>3</r:ResourceType>
<r:VirtualQuantity>2</r:VirtualQuantity></o:Item>
<o:Item><r:AllocationUnits>byte * 2^20</r:AllocationUnits><r:InstanceID>2</r:InstanceID>
<r:ResourceType>4</r:ResourceType><r:VirtualQuantity>1024</r:VirtualQuantity></o:Item>
<o:Item><r:InstanceID>3</r:InstanceID><r:ResourceType>6</r:ResourceType>
<r:ResourceSubType>lsilogic</r:ResourceSubType></o:Item>
<o:Item><r:InstanceID>4</r:InstanceID><r:Parent>3</r:Parent><r:ResourceType>17</r:ResourceType>
<r:HostResource>ovf:/disk/d1</r:HostResource></o:Item>{items}
</o:VirtualHardwareSection>"""


def ovf(tmp_path: Path, items: str = "", **changes: str) -> FileReading:
    values = {"href": "a.vmdk", "capacity": "5", "disks": "", "sections": ""} | changes
    values.setdefault("hardware", HARDWARE.format(items=items))
    file = tmp_path / "web.ovf"
    file.write_text(OVF.format(**values))
    return read_file(file)


def test_an_envelope_with_prefixes_is_read(tmp_path: Path) -> None:
    reading = ovf(tmp_path)
    (guest,) = reading.guests

    assert reading.blockers == ()
    assert (guest.name, guest.cpus, guest.memory_mib) == ("Web", 2, 1024)
    assert [(disk.source, disk.size, disk.bus) for disk in guest.disks] == [
        ("a.vmdk", 5 * 2**30, "scsi")
    ]


ITEM = "<o:Item><r:InstanceID>9</r:InstanceID><r:ResourceType>{}</r:ResourceType>{}</o:Item>"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"capacity": "${size}"}, {"disk-capacity-variable"}),
        ({"href": "https://example.org/a.vmdk"}, {"disk-http"}),
        ({"disks": '<o:Disk o:diskId="d2" o:capacity="1"/>'}, {"disk-unattached"}),
        ({"hardware": ""}, {"ovf-no-hardware"}),
        ({"hardware": 2 * HARDWARE.format(items="")}, {"ovf-hardware-alternatives"}),
        (
            {
                "sections": "<o:DeploymentOptionSection><o:Configuration o:id='a'/>"
                "</o:DeploymentOptionSection>"
            },
            {"ovf-configurations"},
        ),
        ({"items": ITEM.format(34, "")}, {"tpm-vmware"}),
        (
            {
                "items": ITEM.format(
                    1, "<r:ResourceSubType>vmware.pci.passthrough</r:ResourceSubType>"
                )
            },
            {"passthrough-pci"},
        ),
        ({"items": ITEM.format(14, "<r:HostResource>ovf:/file/f1</r:HostResource>")}, {"floppy"}),
        ({"items": ITEM.format(14, "")}, set()),
        ({"items": ITEM.format(99, "")}, {"device-unknown"}),
        (
            {
                "items": ITEM.format(
                    20, "<r:ResourceSubType>vmware.nvdimm.device</r:ResourceSubType>"
                )
            },
            {"memory-nvdimm"},
        ),
        (
            {"hardware": HARDWARE.format(items="").replace("lsilogic", "other, lsilogic")},
            set(),
        ),
        (
            {"hardware": HARDWARE.format(items="").replace("lsilogic", "buslogic")},
            {"scsi-controller-model"},
        ),
    ],
)
def test_what_an_envelope_leaves_open_blocks(
    tmp_path: Path, changes: dict[str, str], found: set[str]
) -> None:
    assert {one.id for one in ovf(tmp_path, **changes).blockers} == found


DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=1
parentCID={parent}
createType="{type}"
RW 20480 {extent} "a-flat.vmdk" 0
"""


def vmdk(tmp_path: Path, content: bytes) -> FileReading:
    file = tmp_path / "a.vmdk"
    file.write_bytes(content)
    return read_file(file)


@pytest.mark.parametrize(
    ("parent", "type_", "extent", "found"),
    [
        ("ffffffff", "vmfs", "VMFS", set()),
        ("0000000a", "vmfsSparse", "VMFSSPARSE", {"snapshot"}),
        ("ffffffff", "vmfsRawDeviceMap", "VMFSRDM", {"disk-rdm"}),
        ("ffffffff", "fullDevice", "FLAT", {"disk-rdm"}),
    ],
)
def test_a_descriptor_is_read(
    tmp_path: Path, parent: str, type_: str, extent: str, found: set[str]
) -> None:
    text = DESCRIPTOR.format(parent=parent, type=type_, extent=extent)
    reading = vmdk(tmp_path, text.encode())

    assert {one.id for one in reading.blockers} == found
    assert reading.facts["capacity_bytes"] == 20480 * 512


def header(offset: int) -> bytes:
    values = (b"KDMV", 3, 0, 2048, 128, offset, 1, 512, 0, 0, 128, 0, 10, 32, 13, 10, 1)
    return struct.pack("<4sIIQQQQIQQQBBBBBH", *values).ljust(512, b"\0")


def test_a_sparse_file_is_read_by_its_header(tmp_path: Path) -> None:
    text = DESCRIPTOR.format(parent="ffffffff", type="streamOptimized", extent="SPARSE").encode()
    whole, part = vmdk(tmp_path, header(1) + text), vmdk(tmp_path, header(0))

    assert (whole.facts["capacity_bytes"], whole.facts["compressed"]) == (2048 * 512, True)
    assert whole.blockers == ()
    assert [one.id for one in part.blockers] == ["vmdk-no-descriptor"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.vmx", b"\0\1"),
        ("a.vmx", b"words only\n"),
        ("a.ovf", b"<Envelope"),
        ("a.ovf", b"<other/>"),
        ("a.vmdk", b"KDMV"),
        ("a.vmdk", b"nothing of it"),
    ],
)
def test_a_broken_file_is_named_in_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(InputError, match=rf"^{name}: [^\n]+$"):
        read_file(file)
