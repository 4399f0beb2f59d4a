"""Read an OVF descriptor: one guest or several, their disks in the envelope's list."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker, Cpu, Domain, Identity, Smbios, Tpm
from releve.migrate.sources.ovf_items import Item, Shelf, account, items_of
from releve.migrate.sources.vmware import os_of, scsi_of, uuid_of
from releve.migrate.sources.xmltree import local, plain_attribute, read_xml

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Iterator

    from releve.migrate.sources.ovf_items import Devices

OLD_NAMESPACE = "http://www.vmware.com/schema/ovf/1/envelope"
ENCRYPTED = {"EncryptedData", "EncryptedKey"}
SCSI_NAMES = {"lsilogicsas": "lsisas1068", "virtualscsi": "pvscsi"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """An OVF descriptor: its guests, each with its devices, and what blocks all of them."""

    root: ET.Element
    guests: tuple[tuple[Domain, Devices], ...]
    blockers: tuple[Blocker, ...]


def parse_ovf(text: str, where: str) -> Envelope:
    """Return what a descriptor describes; raises InputError, naming `where`, when it is none."""
    root = read_xml(text, where)
    if local(root) != "Envelope":
        message = f"{where}: <{local(root)}> is no OVF envelope"
        raise InputError(message)
    blockers = tuple(dict.fromkeys(_envelope_blockers(root)))
    shelf = Shelf.of(root)
    systems = [one for one in root.iter() if _is_system(one)]
    if not systems:
        message = f"{where}: the envelope describes no guest"
        raise InputError(message)
    default = _default_configuration(root)
    guests = tuple(_guest(system, shelf, default, where) for system in systems)
    used = {name for _, devices in guests for name in devices.used}
    for element in root.iter():  # also what another configuration or a snapshot uses
        if local(element) == "HostResource":
            used.add((element.text or "").strip().rpartition("/")[2])
        used.add(plain_attribute(element, "parentRef") or "")
    lost = [
        Blocker("disk-unattached", f"disk {name} hangs on no guest")
        for name in shelf.disks
        if name not in used and guests[0][1].hardware
    ]
    return Envelope(root, guests, (*blockers, *lost))


def _is_system(element: ET.Element) -> bool:
    kind = plain_attribute(element, "type") or ""
    name = local(element)
    return name == "VirtualSystem" or (name == "Content" and "VirtualSystem_Type" in kind)


def _envelope_blockers(root: ET.Element) -> Iterator[Blocker]:
    if root.tag.startswith(f"{{{OLD_NAMESPACE}"):
        yield Blocker("ovf-version-0.9", "it is of OVF 0.9: export it again with a newer tool")
    names = {local(element) for element in root.iter()}
    if names & ENCRYPTED:
        yield Blocker("encrypted", "parts of it are encrypted: a secret is needed")
    sections = [one for one in root.iter() if local(one) == "DeploymentOptionSection"]
    choices = [child for one in sections for child in one if local(child) == "Configuration"]
    if choices:
        ids = ", ".join(plain_attribute(one, "id") or "?" for one in choices)
        text = f"its processors, memory and devices depend on a choice: {ids}"
        yield Blocker("ovf-configurations", text)


def _default_configuration(root: ET.Element) -> str | None:
    """Return the id of the configuration that holds when nobody chooses: the marked, or first."""
    found = [one for one in root.iter() if local(one) == "Configuration"]
    marked = [one for one in found if (plain_attribute(one, "default") or "") in {"true", "1"}]
    chosen = (marked or found)[:1]
    return plain_attribute(chosen[0], "id") if chosen else None


def _guest(
    system: ET.Element, shelf: Shelf, default: str | None, where: str
) -> tuple[Domain, Devices]:
    hardware = [one for one in system.iter() if _is_hardware(one)]
    items = items_of(hardware[0], default) if hardware else []
    devices = account(items, shelf)
    devices.hardware = bool(hardware)
    devices.id = plain_attribute(system, "id") or ""
    if not hardware:
        text = "it says nothing of processors, memory and devices"
        devices.blockers.append(Blocker("ovf-no-hardware", text))
    elif len(hardware) > 1:
        text = f"it has {len(hardware)} sets of hardware: choose one"
        devices.blockers.append(Blocker("ovf-hardware-alternatives", text))
    return _domain(system, hardware[:1], devices, items, where), devices


def _is_hardware(element: ET.Element) -> bool:
    kind = plain_attribute(element, "type") or ""
    return local(element) == "VirtualHardwareSection" or (
        local(element) == "Section" and "VirtualHardwareSection" in kind
    )


def _domain(
    system: ET.Element,
    hardware: list[ET.Element],
    devices: Devices,
    items: list[Item],
    where: str,
) -> Domain:
    settings = _settings(hardware)
    names = [one for one in system if local(one) == "Name"]
    name = (names[0].text or "").strip() if names else plain_attribute(system, "id")
    uefi = settings.get("firmware", "").startswith("efi") or _virtualbox_efi(system)
    cpus = next((item.quantity for item in items if item.type == "3"), 1) or 1
    kind = os_of(_system_of(system))
    per_socket = next((item.cores for item in items if item.type == "3"), 1)
    sockets = cpus // per_socket if cpus % per_socket == 0 else cpus
    bare = Domain(
        name=name or where,
        uuid=uuid_of(settings.get("uuid")),
        hypervisor="ovf",
        arch="x86_64",
        machine=None,
        firmware="uefi" if uefi else "bios",
        secure_boot=settings.get("bootoptions.efisecurebootenabled") == "true",
        loader=None,
        nvram=settings.get("nvram"),
        memory_kib=sum(item.memory_kib for item in items if item.type == "4"),
        cpus=cpus,
        cpus_max=cpus,
        clock="utc",
        acpi=True,
        agent=False,
        disks=tuple(devices.disks),
        nics=tuple(devices.nics),
        parts=tuple(devices.parts),
        blockers=tuple(dict.fromkeys(devices.blockers)),
        notes=tuple(_notes(devices, uefi=uefi)),
    )
    models = [SCSI_NAMES.get(model, model) for model in devices.scsi]
    identity = Identity(
        smbios=Smbios(uuid=bare.uuid),
        cpu=Cpu("host", sockets=sockets, cores=cpus // sockets),
        clock="localtime" if kind and kind.startswith("w") else "utc",
        tpm=Tpm() if devices.count("tpm") else None,
        os=kind,
        scsi_controller=scsi_of(models),
    )
    return replace(bare, identity=identity)


def _settings(hardware: list[ET.Element]) -> dict[str, str]:
    """Return VMware's settings of the hardware, keys in lower case."""
    found = {}
    for section in hardware:
        for one in section:
            if local(one) in {"Config", "ExtraConfig"}:
                key = (plain_attribute(one, "key") or "").lower()
                found[key] = (plain_attribute(one, "value") or "").lower()
    return found


def _virtualbox_efi(system: ET.Element) -> bool:
    found = [one for one in system.iter() if local(one) == "Firmware"]
    return any((plain_attribute(one, "type") or "").upper().startswith("EFI") for one in found)


def _system_of(system: ET.Element) -> str | None:
    for one in system:
        if local(one) in {"OperatingSystemSection", "Section"}:
            said = plain_attribute(one, "osType")
            texts = [child.text or "" for child in one if local(child) == "Description"]
            if said or texts:
                return said or re.sub(r"[\s_]", "", texts[0])
    return None


def _notes(devices: Devices, *, uefi: bool) -> Iterator[str]:
    yield from devices.notes
    if uefi:
        yield "VMware's EFI variables cannot be carried: boot entries are made anew"
    if devices.nics:
        yield "an OVF says no hardware addresses: PVE gives its cards new ones"


def ovf_facts(envelope: Envelope) -> dict[str, Any]:
    """Return what the descriptor says, plainly; counts are of all guests together."""
    guests = [
        {
            "id": devices.id,
            "name": guest.name,
            "disks": len(guest.disks),
            "nics": len(guest.nics),
            "cdroms": devices.count("cdrom"),
            "floppies": devices.count("floppy"),
            "firmware": guest.firmware,
            "tpm": guest.identity.tpm is not None,
            "vcpus": guest.cpus,
            "memory_mib": guest.memory_mib,
            "controllers": devices.controllers,
            **({"secure_boot": True} if guest.secure_boot else {}),
        }
        for guest, devices in envelope.guests
    ]
    first = envelope.guests[0][0]
    counts = {key: sum(int(str(one[key])) for one in guests) for key in ("disks", "nics", "cdroms")}
    shelf = Shelf.of(envelope.root)
    return {
        "guests": len(guests),
        "name": first.name,
        **counts,
        "disk_section": len(shelf.disks),
        "files": len(shelf.files),
        "firmware": first.firmware,
        "tpm": any(one["tpm"] for one in guests),
        "guest_list": guests,
    }
