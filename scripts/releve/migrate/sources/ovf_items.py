"""What becomes of each item of an OVF guest on Proxmox VE, by CIM's numbers of resource types."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.migrate.sources.devices import DevicesFound
from releve.migrate.sources.domain import Blocker, DiskFound, NicFound, Part
from releve.migrate.sources.xmltree import local, plain_attribute

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

SCSI_MODELS = {"lsilogic", "lsilogicsas", "virtualscsi", ""}
NICS = {
    "pcnet32": "pcnet",
    "pcnet": "pcnet",
    "e1000": "e1000",
    "e1000e": "e1000e",
    "vmxnet3": "vmxnet3",
    "virtualvmxnet3": "vmxnet3",
    "virtio": "virtio",
    "virtio-net": "virtio",
    "flexible": "e1000",
    "": "e1000",
}
UNIT = re.compile(r"byte\s*\*\s*([0-9]{1,4})\s*\^\s*([0-9]{1,2})")
UNITS = {"": 2**20, "b": 1, "byte": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
CONTROLLERS = {"5": "ide", "6": "scsi", "20": "sata"}
REPLACED = {
    "0": "the hardware family",
    "23": "PVE's own USB controller",
    "24": "PVE's default display",
    "35": "VMware's clock device",
}
FORMATS = {"vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "qcow": "qcow2", "raw": "raw"}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a hardware section, its texts by the plain names of its elements."""

    id: str
    said: dict[str, str]
    configuration: str | None
    config: dict[str, str]

    @property
    def type(self) -> str:
        """CIM's number of the resource type."""
        return self.said.get("ResourceType", "0").strip()

    @property
    def subtype(self) -> str:
        """The model, as its maker names it, in lower case."""
        return self.said.get("ResourceSubType", "").strip().lower()

    @property
    def quantity(self) -> int:
        """How many there are; 0 when that is no number."""
        text = self.said.get("VirtualQuantity", "").strip()
        return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0

    @property
    def cores(self) -> int:
        """Cores per socket."""
        text = self.said.get("CoresPerSocket", "").strip()
        return max(int(text), 1) if re.fullmatch(r"[0-9]{1,4}", text) else 1

    @property
    def memory_kib(self) -> int:
        """The memory in KiB."""
        unit = self.said.get("AllocationUnits") or self.said.get("VirtualQuantityUnits") or ""
        return self.quantity * unit_of(unit, 2**20) // 1024

    @property
    def resource(self) -> str:
        """What stands behind it, such as ovf:/disk/vmdisk1."""
        return self.said.get("HostResource", "").strip()


def unit_of(text: str, fallback: int) -> int:
    """Return the bytes of a unit such as "byte * 2^30" or "MegaBytes"."""
    if not text.strip():
        return fallback
    if found := UNIT.search(text):
        base, power = min(int(found[1]), 1024), min(int(found[2]), 60)
        return min(int(math.pow(base, power)), 2**60)
    word = text.strip().lower()
    return UNITS.get(word, UNITS.get(word[:1], fallback))


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the envelope offers to its guests: disks and files by their ids."""

    disks: dict[str, ET.Element]
    files: dict[str, ET.Element]

    @classmethod
    def of(cls, root: ET.Element) -> Shelf:
        """Return the lists of an envelope."""
        disks: dict[str, ET.Element] = {}
        files: dict[str, ET.Element] = {}
        for element in root.iter():
            if local(element) == "Disk" and plain_attribute(element, "diskId"):
                disks[plain_attribute(element, "diskId") or ""] = element
            elif local(element) == "File" and plain_attribute(element, "href") is not None:
                files[plain_attribute(element, "id") or f"file {len(files)}"] = element
        return cls(disks, files)


@dataclass(slots=True)
class Devices(DevicesFound):
    """The devices of one guest, in our words and in OVF's."""

    id: str = ""
    hardware: bool = True
    used: list[str] = field(default_factory=list)


def items_of(hardware: ET.Element, default: str | None) -> list[Item]:
    """Return the items that hold in the default configuration; its own replace general ones."""
    found: dict[str, Item] = {}
    for number, element in enumerate(hardware):
        if local(element) not in {"Item", "EthernetPortItem", "StorageItem"}:
            continue
        said = {local(child): (child.text or "").strip() for child in element}
        config = {
            (plain_attribute(child, "key") or ""): plain_attribute(child, "value") or ""
            for child in element
            if local(child) in {"Config", "ExtraConfig"}
        }
        wanted = plain_attribute(element, "configuration")
        if wanted and default and default not in wanted.split():
            continue
        key = said.get("InstanceID") or said.get("InstanceId") or f"item {number}"
        key = f"{key} {said.get('ResourceType')}"
        if key in found and found[key].configuration and not wanted:
            continue
        found[key] = Item(key.split(" ", maxsplit=1)[0], said, wanted, config)
    return list(found.values())


def account(items: list[Item], shelf: Shelf) -> Devices:
    """Return the devices of a guest with their fates."""
    devices = Devices()
    by_id = {item.id: item for item in items}
    for item in items:
        if "nvdimm" in item.subtype:
            name = item.said.get("ElementName") or item.subtype
            if "device" in item.subtype:
                text = f"{name} is no plain RAM"
                devices.used.append(item.resource.rpartition("/")[2])
                devices.add("memory", name, "", Blocker("memory-nvdimm", text))
            else:
                devices.parts.append(Part(name, "dropped", "the controller of NVDIMMs"))
        elif item.type in CONTROLLERS:
            _controller(devices, item)
        elif item.type in {"3", "4"}:
            devices.parts.append(Part("processor" if item.type == "3" else "memory", "mapped"))
        elif item.type in {"17", "31"}:
            _disk(devices, item, by_id, shelf)
        elif item.type == "10":
            _card(devices, item)
        else:
            _other(devices, item)
    models = sorted({model for model in devices.scsi if model})
    for model in models:
        if model not in SCSI_MODELS:
            text = f"PVE has no SCSI controller {model}"
            devices.blockers.append(Blocker("scsi-controller-model", text))
    if len(models) > 1:
        text = f"controllers {', '.join(models)}: PVE has one model per guest"
        devices.blockers.append(Blocker("scsi-controllers-mixed", text))
    return devices


def _controller(devices: Devices, item: Item) -> None:
    kind, shown = CONTROLLERS[item.type], item.said.get("ResourceSubType", "").strip()
    label = "sata/other" if kind == "sata" else kind
    devices.controllers.append(f"{label}:{shown}" if shown and kind != "ide" else label)
    devices.parts.append(Part(f"controller {label}", "replaced", "PVE's own controllers"))


def _disk(devices: Devices, item: Item, by_id: dict[str, Item], shelf: Shelf) -> None:
    name = item.said.get("ElementName") or item.said.get("Caption") or f"disk {item.id}"
    parent = by_id.get(item.said.get("Parent", "").strip())
    bus = CONTROLLERS.get(parent.type, "scsi") if parent else "scsi"
    model = parent.subtype if parent else ""
    if "nvme" in model:
        bus = "scsi"
        devices.notes.append(f"{name} hangs on NVMe, which PVE has not: it becomes scsi")
    elif bus == "scsi":
        model = _chosen(model)
        devices.scsi.append(model)
    disk_id = item.resource.rpartition("/")[2]
    element = shelf.disks.get(disk_id)
    blockers = []
    if disk_id and disk_id in devices.used:
        devices.notes.append(f"{name} is one more copy of {disk_id}")
    devices.used.append(disk_id)
    if element is None:
        if item.resource.startswith("ovf:/file/"):
            element = shelf.files.get(disk_id)
        if element is None:
            text = f"{name}: {item.resource or 'nothing'} is not in the envelope"
            blockers.append(Blocker("disk-source-missing", text))
    file, size = None, None
    if element is not None:
        file = _file(devices, name, element, shelf, blockers)
        size = _size(element, name, blockers)
        if plain_attribute(element, "parentRef"):
            text = f"{name} holds only what differs from another disk"
            blockers.append(Blocker("disk-delta", text))
    number = sum(disk.bus == bus for disk in devices.disks)
    devices.disks.append(
        DiskFound(
            target=f"{bus}{number}",
            bus=bus,
            type="file",
            source=file,
            format=_format(element),
            controller=model or None,
            size=size,
        )
    )
    devices.add("disk", name, "", *blockers)


def _chosen(models: str) -> str:
    """Return the model to take of several that a descriptor allows: the first that PVE has."""
    words = re.split(r"[,\s]+", models)
    return next((word for word in words if word in SCSI_MODELS), words[0])


def _file(
    devices: Devices, name: str, disk: ET.Element, shelf: Shelf, blockers: list[Blocker]
) -> str | None:
    """Return the name of the file behind a disk; None for one that is to be made empty."""
    reference = plain_attribute(disk, "fileRef")
    if reference is None and plain_attribute(disk, "href") is None:
        devices.notes.append(f"{name} has no file: an empty disk is to be made")
        return None
    file = shelf.files.get(reference or "", disk)
    place = plain_attribute(file, "href")
    if not place:
        text = f"{name}: its file {reference} is not in the envelope"
        blockers.append(Blocker("disk-source-missing", text))
        return None
    if place.startswith(("http://", "https://")):
        blockers.append(Blocker("disk-http", f"{name} is to be fetched from {place}"))
    packed = plain_attribute(file, "compression") or ("gzip" if place.endswith(".gz") else None)
    if packed and packed != "identity":
        devices.notes.append(f"{place} is compressed ({packed}): unpack it first")
    if plain_attribute(file, "chunkSize"):
        devices.notes.append(f"{place} comes in pieces: join them first")
    return place


def _size(disk: ET.Element, name: str, blockers: list[Blocker]) -> int | None:
    text = (plain_attribute(disk, "capacity") or "").strip()
    if "$" in text:
        said = f"{name}: its size is the property {text}"
        blockers.append(Blocker("disk-capacity-variable", said))
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        return None
    return int(text) * unit_of(plain_attribute(disk, "capacityAllocationUnits") or "byte", 1)


def _format(disk: ET.Element | None) -> str:
    said = (plain_attribute(disk, "format") or "").lower() if disk is not None else ""
    return next((ours for word, ours in FORMATS.items() if word in said), "vmdk")


def _card(devices: Devices, item: Item) -> None:
    name = item.said.get("ElementName") or item.said.get("Caption") or f"card {item.id}"
    words = re.split(r"[,\s]+", item.subtype)
    model = next((NICS[word] for word in words if word in NICS), None)
    blockers = []
    if "sriov" in item.subtype:
        blockers.append(Blocker("passthrough-pci", f"{name} is a part of the old host's card"))
    elif model is None:
        blockers.append(Blocker("nic-model", f"{name} is a {item.subtype}, which PVE lacks"))
    address = item.said.get("Address", "")
    mac = address.lower() if re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", address) else None
    network = item.said.get("Connection") or None
    devices.nics.append(NicFound("bridge", mac, model or words[0], network))
    devices.add("nic", name, "", *blockers)


def _other(devices: Devices, item: Item) -> None:
    kind, name = item.type, item.said.get("ElementName") or f"item {item.id}"
    if kind in {"15", "16"}:
        devices.add("cdrom", name, "a CD-ROM's medium is not carried over")
    elif kind == "14":
        if item.resource:
            text = f"PVE has no floppy drive; {name} has {item.resource}"
            devices.add("floppy", name, "", Blocker("floppy", text))
        else:
            devices.add("floppy", name, "an empty floppy drive")
    elif kind == "21":
        _serial(devices, item, name)
    elif kind == "22":
        devices.add("parallel", name, "", Blocker("parallel", f"{name} is a parallel port"))
    elif kind == "34" or "vtpm" in item.subtype:
        text = "a TPM of VMware: its state cannot travel; have recovery keys before the move"
        devices.add("tpm", name, "", Blocker("tpm-vmware", text))
    elif "passthrough" in item.subtype:
        bus = "usb" if "usb" in item.subtype else "scsi" if "scsi" in item.subtype else "pci"
        text = f"{name} is the old host's device {item.config.get('backing.id', '')}".rstrip()
        devices.add("hostdev", name, "", Blocker(f"passthrough-{bus}", text))
    elif kind in REPLACED or (kind == "1" and re.search(r"vmci|sound|hdaudio|ac97", _words(item))):
        devices.add("other", name, REPLACED.get(kind, "not carried over"))
    else:
        text = f"{name}: a device of type {kind} ({item.subtype or 'no model'}), not known here"
        devices.parts.append(Part(name, "unknown", text))
        if item.said.get("required", "true") != "false":
            devices.blockers.append(Blocker("device-unknown", text))


def _words(item: Item) -> str:
    texts = (item.subtype, item.said.get("ElementName", ""), item.said.get("Description", ""))
    return re.sub(r"\s", "", " ".join(texts)).lower()


def _serial(devices: Devices, item: Item, name: str) -> None:
    backing = item.subtype.rpartition(".")[2]
    if backing == "device":
        text = f"{name} is the old host's port"
        devices.add("serial", name, "", Blocker("serial-host-device", text))
    elif item.resource or backing in {"uri", "file", "pipe"}:
        text = f"{name} ends in a {backing or 'file'} of the old host"
        devices.add("serial", name, "", Blocker("serial-backend", text))
    else:
        devices.add("serial", name, "a serial port without an end")
