"""What people recorded of a host that cannot be asked becomes guests too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from releve.cli.survey import command
from releve.errors import InputError
from releve.migrate.recorded import guests_recorded

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"
VMX = """\
config.version = "8"
displayName = "compta"
memSize = "256"
guestOS = "debian12-64"
sata0.present = "TRUE"
sata0:0.present = "TRUE"
sata0:0.fileName = "compta.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "office"
ethernet0.address = "52:54:00:91:00:01"
"""
VMDK = """\
# Disk DescriptorFile
CID=1
parentCID=ffffffff
createType="vmfs"
RW 393216 VMFS "compta-flat.vmdk"
"""


@pytest.fixture
def esxi(tmp_path: Path) -> Path:
    folder = tmp_path / "esxi" / "compta"
    folder.mkdir(parents=True)
    (folder / "compta.vmx").write_text(VMX)
    (folder / "compta.vmdk").write_text(VMDK)
    (tmp_path / "esxi" / "power.txt").write_text("compta: Powered on\n")
    return tmp_path / "esxi"


def test_a_folder_of_an_esxi_host_holds_its_guests(esxi: Path) -> None:
    (guest,), faults = guests_recorded(esxi, "esxi")

    assert faults == []
    assert (guest.key, guest.state) == ("compta", "running")
    assert [(disk.found.target, disk.size_mib) for disk in guest.disks] == [("sata0-0", 192)]
    assert guest.blockers == ()


def test_a_broken_file_is_named_and_the_others_are_read(esxi: Path) -> None:
    (esxi / "other.vmx").write_bytes(b"\0\1")

    guests, faults = guests_recorded(esxi, "esxi")

    assert [guest.key for guest in guests] == ["compta"]
    assert faults == ["other.vmx: this is no .vmx file: it is binary or too long"]


def test_a_disk_whose_descriptor_is_not_there_blocks(esxi: Path) -> None:
    (esxi / "compta" / "compta.vmx").write_text(VMX.replace("compta.vmdk", "lost.vmdk"))

    (guest,), _ = guests_recorded(esxi, "esxi")

    assert [one.id for one in guest.blockers] == ["disk-source-missing"]


HYPERV: dict[str, Any] = {
    "vm": {
        "Name": "dc1",
        "Id": "A",
        "State": 2,
        "Generation": 2,
        "ProcessorCount": 2,
        "MemoryStartup": 4294967296,
    },
    "disks": [
        {
            "VMName": "dc1",
            "VMId": "a",
            "ControllerType": 1,
            "ControllerNumber": 0,
            "ControllerLocation": 0,
            "Path": "D:\\vm\\dc1.vhdx",
        }
    ],
    "nics": [
        {
            "VMName": "dc1",
            "VMId": "A",
            "Name": "net",
            "SwitchName": "office",
            "MacAddress": "00155D000001",
        }
    ],
    "vhds": [{"Path": "d:\\VM\\dc1.vhdx", "Size": 42949672960}],
    "firmware": [{"VMName": "dc1", "SecureBoot": "On"}],
    "ids": [{"VMName": "dc1", "BIOSGUID": "{0F0F0F0F-0000-4000-8000-000000000001}"}],
    "vlans": [
        {"VMName": "dc1", "AdapterName": "net", "OperationMode": "Access", "AccessVlanId": 12}
    ],
}


def hyperv(folder: Path, encoding: str = "utf-8-sig", **changes: Any) -> Path:
    for name, rows in (HYPERV | changes).items():
        (folder / f"{name}.json").write_bytes(json.dumps(rows).encode(encoding))
    return folder


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_folder_of_a_hyper_v_host_holds_its_guests(tmp_path: Path, encoding: str) -> None:
    (guest,), faults = guests_recorded(hyperv(tmp_path, encoding), "hyperv")

    assert faults == []
    assert (guest.key, guest.state, guest.domain.firmware) == ("dc1", "running", "uefi")
    assert (guest.domain.memory_mib, guest.domain.cpus) == (4096, 2)
    assert guest.domain.secure_boot
    assert [(disk.found.bus, disk.format, disk.size_mib) for disk in guest.disks] == [
        ("scsi", "vhdx", 40960)
    ]
    (nic,) = guest.domain.nics
    assert (nic.mac, nic.source, nic.vlans) == ("00:15:5d:00:00:01", "office", (12,))
    assert guest.domain.identity.smbios.uuid == "0f0f0f0f-0000-4000-8000-000000000001"
    assert guest.blockers == ()
    assert any("snapshots.json" in note for note in guest.notes)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"snapshots": [{"VMName": "dc1", "Name": "before"}]}, {"snapshot"}),
        ({"security": {"VMName": "dc1", "TpmEnabled": True}}, {"tpm-hyperv"}),
        ({"security": {"VMName": "dc1", "Shielded": True}}, {"encrypted"}),
        ({"devices": [{"VMName": "dc1", "LocationPath": "PCIROOT(0)"}]}, {"passthrough-pci"}),
        ({"devices": [{"VMName": "other", "LocationPath": "PCIROOT(0)"}]}, set()),
        ({"vm": HYPERV["vm"] | {"State": "Saved"}}, {"suspended"}),
        ({"vhds": [{"Path": "D:\\vm\\dc1.vhdx", "ParentPath": "D:\\b.vhdx"}]}, {"snapshot"}),
        ({"disks": [HYPERV["disks"][0] | {"Path": None, "DiskNumber": 3}]}, {"disk-raw-path"}),
    ],
)
def test_what_a_hyper_v_guest_cannot_take_along_blocks(
    tmp_path: Path, changes: dict[str, Any], found: set[str]
) -> None:
    (guest,), _ = guests_recorded(hyperv(tmp_path, **changes), "hyperv")

    assert {one.id for one in guest.blockers} == found


def test_a_listing_that_all_hangs_on_must_be_there(tmp_path: Path) -> None:
    (hyperv(tmp_path) / "disks.json").unlink()

    with pytest.raises(InputError, match=r"disks\.json is not there: record it first"):
        guests_recorded(tmp_path, "hyperv")


def test_a_broken_listing_is_named(tmp_path: Path) -> None:
    (hyperv(tmp_path) / "firmware.json").write_text("{")

    (guest,), faults = guests_recorded(tmp_path, "hyperv")

    assert guest.key == "dc1"
    assert "firmware.json: this is no JSON" in faults[0]


def run(*argv: str) -> Any:
    done = CliRunner().invoke(command, argv, standalone_mode=False)
    if done.exception:
        raise done.exception
    return done


def test_any_folder_of_files_can_be_looked_at(esxi: Path) -> None:
    (esxi / "notes.md").write_text("words")
    whole = run("--from", str(esxi))
    (esxi / "bad.vmx").write_bytes(b"\0")
    broken = run("--from", str(esxi), "--json")

    assert whole.return_value == 0
    assert "compta/compta.vmx: vmx: compta: mapped" in whole.output
    assert broken.return_value == 4
    assert '"id": "file-invalid"' in broken.output


def test_without_a_host_or_a_folder_nothing_is_guessed() -> None:
    with pytest.raises(InputError, match="name a host of the town file"):
        run()


def test_listings_are_compared_with_the_town_file(
    esxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    town = tmp_path / "town.yml"
    town.write_text(LAB.read_text().replace("hypervisor: libvirt", "hypervisor: esxi"))

    done = run("old", "-i", str(town), "--from", str(esxi))

    assert done.return_value == 3
    assert "guests.compta.nics.0.model: the town file says virtio, old says vmxnet3" in done.output
    with pytest.raises(InputError, match=r"give --from FOLDER \(docs/how-to/migrate-from-esxi"):
        run("old", "-i", str(town))
