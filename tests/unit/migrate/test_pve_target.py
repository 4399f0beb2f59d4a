"""A volume that is half-copied cannot start, and what others made on the node is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from releve.migrate.errors import ForeignError, MigrateError
from releve.migrate.identify import identified, identity_of
from releve.migrate.pve import PveTarget
from releve.pve.guests import Guests, State, Volume
from releve.town import load_town
from releve.town.model import Smbios

LAB = Path(__file__).parents[3] / "inventory" / "lab"
SIZES = {"vda": 192 << 20, "vdb": 1 << 30}


class Node(Guests):
    """A node kept in memory: guests, volumes, and whether a guest runs."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(cast("Any", self), "pve1")
        self.configs: dict[int, dict[str, object]] = {}
        self.volumes: dict[str, int] = {}
        self.on: set[int] = set()
        self.calls: list[str] = []

    def get(self, _path: str, *, vmid: int, content: str) -> list[dict[str, str]]:
        """List the volumes of a guest, in no useful order."""
        assert content == "images"
        return [{"volid": name} for name in reversed(self.volumes) if f":{vmid}/" in name]

    def exists(self, vmid: int) -> bool:
        return vmid in self.configs

    def create(self, vmid: int, settings: dict[str, object]) -> None:
        self.configs[vmid] = dict(settings)
        if "efidisk0" in settings:
            made = self.allocate("vmdata", vmid, 528 << 10)
            self.configs[vmid]["efidisk0"] = f"{made.id},efitype=4m"
        if "tpmstate0" in settings:
            made = self.allocate("vmdata", vmid, 4 << 20)
            self.configs[vmid]["tpmstate0"] = (
                f"{made.id},{str(settings['tpmstate0']).split(',')[1]}"
            )

    def config(self, vmid: int) -> dict[str, object]:
        return self.configs[vmid]

    def configure(self, vmid: int, **settings: object) -> None:
        self.configs[vmid].update(settings)

    def allocate(self, storage: str, vmid: int, size: int) -> Volume:
        number = sum(f":{vmid}/" in name for name in self.volumes)
        name = f"{storage}:{vmid}/vm-{vmid}-disk-{number}.raw"
        self.volumes[name] = size
        return self.volume(storage, name)

    def volume(self, _storage: str, volume_id: str) -> Volume:
        path = Path("/srv/vmdata/images") / volume_id.partition(":")[2]
        return Volume(volume_id, path, self.volumes[volume_id])

    def set_links(self, vmid: int, *, up: bool) -> None:
        self.calls.append(f"links {'up' if up else 'down'}")

    def start(self, vmid: int) -> None:
        self.calls.append("start")
        self.on.add(vmid)

    def shutdown(self, vmid: int, seconds: int, *, force: bool = False) -> None:
        assert force
        self.calls.append("shutdown")
        self.on.discard(vmid)

    def delete(self, vmid: int) -> None:
        del self.configs[vmid]
        self.volumes = {n: size for n, size in self.volumes.items() if f":{vmid}/" not in n}

    def state(self, vmid: int) -> State:
        return State(vmid in self.on, "", None)


def target(node: Node, name: str = "compta") -> PveTarget:
    town = load_town(LAB)
    two = town.guests[name].disks[0].model_copy(update={"name": "vdb"})
    guest = town.guests[name].model_copy(update={"disks": (*town.guests[name].disks, two)})
    guests = {**town.guests, name: guest}
    return PveTarget(town.model_copy(update={"guests": guests}), name, node)


def test_no_disk_is_attached_before_the_start() -> None:
    node = Node()

    paths = target(node).prepare("r1", SIZES, {})

    assert paths == {
        "vda": "/srv/vmdata/images/101/vm-101-disk-0.raw",
        "vdb": "/srv/vmdata/images/101/vm-101-disk-1.raw",
    }
    assert not [key for key in node.configs[101] if key.startswith("virtio")]
    target(node).start()
    assert node.configs[101]["virtio0"] == "vmdata:101/vm-101-disk-0.raw"
    assert node.configs[101]["virtio1"] == "vmdata:101/vm-101-disk-1.raw"
    assert node.configs[101]["onboot"] is True
    assert node.calls == ["links up", "start"]


def test_a_run_that_was_cut_finds_its_volumes_again() -> None:
    node = Node()
    first = target(node, "dossiers").prepare("r1", SIZES, {})
    last = list(node.volumes)[-1]
    del node.volumes[last]  # as if it had been killed between two volumes

    again = target(node, "dossiers").prepare("r1", SIZES, {})

    assert again == first
    assert "disk-0" not in "".join(again.values()), "the EFI variables were taken for a disk"
    assert len(node.volumes) == 3


def test_disks_that_the_town_file_does_not_list_are_refused() -> None:
    node = Node()

    with pytest.raises(MigrateError, match="has the disks vda, vdb, vdc, the town file says"):
        target(node).prepare("r1", {**SIZES, "vdc": 1 << 20}, {})

    assert node.configs == {}


def test_the_state_of_a_tpm_is_no_disk() -> None:
    node = Node()
    with_tpm = target(node).identify({"tpm": "2.0"})

    paths = with_tpm.prepare("r1", SIZES, {})

    assert node.configs[101]["tpmstate0"] == "vmdata:101/vm-101-disk-0.raw,version=v2.0"
    assert with_tpm.tpm_path() == "/srv/vmdata/images/101/vm-101-disk-0.raw"
    assert paths["vda"] == "/srv/vmdata/images/101/vm-101-disk-1.raw"


@pytest.mark.parametrize("description", ["", "made by hand", "releve migrate, run r0"])
def test_a_guest_of_others_is_left_alone(description: str) -> None:
    node = Node()
    node.create(101, {"description": description})
    node.allocate("vmdata", 101, 5)

    with pytest.raises(ForeignError, match="guest 101 is not of this run"):
        target(node).prepare("r1", SIZES, {})
    target(node).delete("r1")

    assert 101 in node.configs
    assert len(node.volumes) == 1


def test_a_volume_without_a_guest_is_never_overwritten() -> None:
    node = Node()
    node.allocate("vmdata", 101, 5)

    with pytest.raises(ForeignError, match=r"vm-101-disk-0\.raw is there already"):
        target(node).prepare("r1", SIZES, {})


def test_what_a_rolled_back_run_left_is_replaced() -> None:
    node = Node()
    first = target(node).prepare("r0", SIZES, {})

    target(node).prepare("r1", SIZES, {"r0": set(first.values())})

    assert node.configs[101]["description"] == "releve migrate, run r1"
    assert len(node.volumes) == 2


@pytest.mark.parametrize("noted", [True, False], ids=["noted its volumes", "was killed before"])
def test_a_volume_that_others_put_beside_it_is_not_removed_with_it(noted: bool) -> None:
    node = Node()
    first = target(node).prepare("r0", SIZES, {})
    theirs = node.allocate("vmdata", 101, 5)

    with pytest.raises(ForeignError, match=r"vm-101-disk-2\.raw was not made by the run"):
        target(node).prepare("r1", SIZES, {"r0": set(first.values()) if noted else set()})

    assert theirs.id in node.volumes


def test_a_volume_that_others_put_beside_it_is_not_taken_for_a_disk() -> None:
    node = Node()
    target(node).prepare("r1", SIZES, {})
    node.allocate("vmdata", 101, 5)

    with pytest.raises(ForeignError, match="3 volumes of guest 101 are there, and it has 2 disks"):
        target(node).prepare("r1", SIZES, {})


def test_a_stopped_target_cannot_come_back_by_itself() -> None:
    node = Node()
    target(node).prepare("r1", SIZES, {})
    target(node).start()
    node.calls.clear()

    target(node).stop(15)

    assert node.calls == ["shutdown", "links down"]
    assert node.configs[101]["onboot"] is False


def test_the_addresses_are_those_of_the_town_file() -> None:
    node = Node()
    target(node).prepare("r1", SIZES, {})

    assert target(node).macs() == ("52:54:00:91:00:01",)


DEFINITION = """<domain type='kvm'><name>compta</name>
<uuid>0b7c9d55-5d8e-4c3f-9d5c-0d6a3f6f5a10</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>
<clock offset='localtime'/><devices><disk type='file' device='disk'>
<driver name='qemu' type='raw'/><source file='/img/compta.raw'/><target dev='vda' bus='virtio'/>
<serial>A,1</serial></disk></devices></domain>"""


def test_the_guest_keeps_what_it_reads_of_its_machine() -> None:
    node = Node()
    one = target(node).identify(identity_of("compta", DEFINITION))

    one.prepare("r1", SIZES, {})
    one.start()

    config = node.configs[101]
    assert config["smbios1"] == "uuid=0b7c9d55-5d8e-4c3f-9d5c-0d6a3f6f5a10"
    assert config["machine"] == "pc-q35-7.2"
    assert config["localtime"] is True
    assert config["virtio0"] == "vmdata:101/vm-101-disk-0.raw,serial=A%2C1"
    assert config["virtio1"] == "vmdata:101/vm-101-disk-1.raw"


def test_what_the_town_file_says_of_an_identity_stands() -> None:
    town = load_town(LAB)
    smbios = Smbios(serial="S1")
    guest = town.guests["compta"].model_copy(update={"smbios": smbios, "machine_version": "8.0"})
    guest.__pydantic_fields_set__.update({"smbios", "machine_version"})
    town = town.model_copy(update={"guests": {**town.guests, "compta": guest}})

    found = identified(town, "compta", identity_of("compta", DEFINITION)).guests["compta"]

    assert found.machine_version == "8.0"
    assert found.smbios.serial == "S1"
    assert str(found.smbios.uuid) == "0b7c9d55-5d8e-4c3f-9d5c-0d6a3f6f5a10"
    assert found.disks[0].serial == "A,1"


def test_what_no_token_may_set_is_left_to_root() -> None:
    node = Node()
    genid = "11111111-2222-4333-8444-555555555555"
    one = target(node).identify({"vmgenid": genid})

    one.prepare("r1", SIZES, {})

    assert not {"vmgenid", "startup"} & set(node.configs[101])
    locks = "qm set 101 --skiplock 1 --lock migrate --startup order=1,down=15"
    assert one.by_root() == f"{locks} --vmgenid {genid}"
    assert target(node).by_root() == locks


def test_a_lock_is_taken_from_a_guest_of_ours_alone() -> None:
    node = Node()
    one = target(node)
    one.prepare("r1", SIZES, {})
    assert one.opening({"r1"}) == ""
    assert one.closing() == "qm set 101 --skiplock 1 --lock migrate"
    node.configs[101]["lock"] = "migrate"

    assert one.opening({"r1"}) == "qm unlock 101"
    assert one.opening({"r0"}) == ""
    assert one.closing() == ""
    one.stop(15)
    assert node.calls == [], "a guest that never worked is left as it is"
    node.configs[101]["lock"] = "backup"  # PVE's own
    assert one.opening({"r1"}) == ""


def test_files_of_disks_say_nothing_of_an_identity() -> None:
    assert identity_of("compta", "") == {}
