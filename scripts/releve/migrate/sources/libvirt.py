"""Read a libvirt definition (XML) into a guest: all that it has is mapped, said or blocked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker, DiskFound, Domain, NicFound, Part
from releve.migrate.sources.libvirt_devices import (
    SCSI_MODELS,
    SERIALS_MAX,
    SLOTS,
    account,
    disk_bus,
    nic_model,
)
from releve.migrate.sources.libvirt_identity import identity_of
from releve.migrate.sources.libvirt_known import odd_parts
from releve.migrate.sources.xmltree import attribute_at, number, read_xml, size_at, text_at

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Iterator

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
STOCK_FIRMWARE = ("/usr/share/", "/usr/lib/", "/nix/store/", "/run/libvirt/nix-ovmf/")
UEFI_NAMES = ("OVMF", "AAVMF", "edk2", "uefi")
ODD_MACHINES = {"isapc", "microvm", "xenfv", "xenpv", "none"}
SMBIOS_KEPT = {"manufacturer", "product", "version", "serial", "uuid", "sku", "family"}


def parse_domain(xml: str, where: str) -> Domain:
    """Return the guest that a definition describes.

    `xml` may also be a snapshot or a status file with the definition inside. Raises InputError
    naming `where` when it is not XML, is none of these, or names no guest.
    """
    return parse_root(read_xml(xml, where), where)[1]


def parse_root(root: ET.Element, where: str) -> tuple[ET.Element, Domain]:
    """Return the element that describes the guest, and the guest; as `parse_domain`."""
    domain = root if root.tag == "domain" else root.find(".//domain")
    outer = _outer_blockers(root, where)
    if domain is None:
        if root.tag != "domainsnapshot":
            message = f"{where}: <{root.tag}> holds no <domain>, so it describes no guest"
            raise InputError(message)
        domain = root
    name = text_at(domain, "name") or (root is not domain and text_at(root, "name")) or None
    if name is None:
        message = f"{where}: the definition names no guest"
        raise InputError(message)
    found = [account(device) for device in domain.findall("devices/*")]
    parts = [part for part, _ in found] + list(odd_parts(domain))
    blockers = [*outer, *_guest_blockers(domain), *_together(domain)]
    blockers += [blocker for _, several in found for blocker in several]
    return domain, _assemble(domain, name, tuple(parts), tuple(dict.fromkeys(blockers)))


def _assemble(
    domain: ET.Element, name: str, parts: tuple[Part, ...], blockers: tuple[Blocker, ...]
) -> Domain:
    loader = domain.find("os/loader")
    cpus_max = number(text_at(domain, "vcpu"), 1)
    return Domain(
        name=name,
        uuid=text_at(domain, "uuid"),
        hypervisor=domain.get("type") or "unknown",
        arch=attribute_at(domain, "os/type", "arch") or "x86_64",
        machine=attribute_at(domain, "os/type", "machine"),
        firmware=firmware_of(domain),
        secure_boot=(loader is not None and loader.get("secure") == "yes")
        or domain.find("os/firmware/feature[@name='secure-boot'][@enabled='yes']") is not None,
        loader=text_at(domain, "os/loader"),
        nvram=text_at(domain, "os/nvram") or attribute_at(domain, "os/nvram/source", "file"),
        memory_kib=-(-_memory(domain) // 1024),
        cpus=number(attribute_at(domain, "vcpu", "current"), cpus_max),
        cpus_max=cpus_max,
        clock=attribute_at(domain, "clock", "offset") or "utc",
        acpi=domain.find("features/acpi") is not None,
        agent=any(
            target.get("name") == "org.qemu.guest_agent.0"
            for target in domain.findall("devices/channel/target")
        ),
        disks=tuple(map(_disk, _hard_disks(domain))),
        nics=tuple(map(_nic, domain.findall("devices/interface"))),
        parts=parts,
        blockers=blockers,
        identity=identity_of(domain),
    )


def _memory(domain: ET.Element) -> int:
    """Return the memory in bytes; a definition without it has it in its NUMA cells, in KiB."""
    said = size_at(domain, "memory")
    cells = domain.findall("cpu/numa/cell")
    return said or sum(number(cell.get("memory"), 0) * 1024 for cell in cells)


def firmware_of(domain: ET.Element) -> str:
    """Return bios or uefi: by @firmware, a pflash loader, or a loader that is named so."""
    system = domain.find("os")
    loader = domain.find("os/loader")
    if system is not None and system.get("firmware"):
        return "uefi" if system.get("firmware") == "efi" else "bios"
    if loader is None:
        return "bios"
    named = any(word in (loader.text or "") for word in UEFI_NAMES)
    return "uefi" if loader.get("type") == "pflash" or named else "bios"


def _hard_disks(domain: ET.Element) -> list[ET.Element]:
    return [
        disk
        for disk in domain.findall("devices/disk")
        if disk.get("device", "disk") in {"disk", "lun"}
    ]


def _disk(disk: ET.Element) -> DiskFound:
    source = disk.find("source")
    path = None if source is None else source.get("file") or source.get("dev")
    return DiskFound(
        target=attribute_at(disk, "target", "dev") or "",
        bus=disk_bus(disk),
        type=disk.get("type", "file"),
        source=path,
        format=attribute_at(disk, "driver", "type"),
        readonly=disk.find("readonly") is not None,
        serial=text_at(disk, "serial"),
        wwn=(text_at(disk, "wwn") or "").lower() or None,
        vendor=text_at(disk, "vendor"),
        product=text_at(disk, "product"),
    )


def _nic(nic: ET.Element) -> NicFound:
    source = nic.find("source")
    names = ("bridge", "network", "dev")
    mac = attribute_at(nic, "mac", "address")
    return NicFound(
        type=nic.get("type", "user"),
        mac=mac.lower() if mac else None,
        model=nic_model(nic),
        source=None if source is None else next(filter(None, map(source.get, names)), None),
        vlans=tuple(number(tag.get("id"), 0) for tag in nic.findall("vlan/tag")),
        linked=attribute_at(nic, "link", "state") != "down",
    )


def _outer_blockers(root: ET.Element, where: str) -> list[Blocker]:
    if root.tag == "domainsnapshot":
        return [Blocker("snapshot", f"{where} is a snapshot: merge or delete it first")]
    if root.find(".//blockjobs[@active='yes']") is not None:
        return [Blocker("block-job-active", "a copy of a disk is being made now")]
    return []


def _guest_blockers(domain: ET.Element) -> Iterator[Blocker]:
    """Yield what blocks the guest as a whole."""
    kind = domain.get("type") or "qemu"
    if domain.tag == "domain" and kind not in {"kvm", "qemu", "kqemu"}:
        yield Blocker(f"hypervisor-{kind}", f"it runs under {kind}, not under QEMU")
    system = text_at(domain, "os/type") or "hvm"
    if system != "hvm":
        yield Blocker(f"os-type-{system}", f"it is no full machine ({system})")
        if domain.find("devices/filesystem") is not None:
            yield Blocker("share", "its disk is a folder of the old host")
    arch = attribute_at(domain, "os/type", "arch") or "x86_64"
    if arch not in {"x86_64", "i686"}:
        yield Blocker(f"arch-{arch}", f"its processor is {arch}")
    machine = attribute_at(domain, "os/type", "machine")
    if machine in ODD_MACHINES:
        yield Blocker(f"machine-{machine}", f"PVE starts no machine {machine}")
    yield from _firmware_blockers(domain)
    yield from _identity_blockers(domain)
    offset = attribute_at(domain, "clock", "offset")
    if offset in {"timezone", "variable", "absolute"}:
        id_ = "clock-timezone" if offset == "timezone" else "clock-variable"
        yield Blocker(id_, f"its clock is set by {offset}, which PVE lacks")
    if domain.find("launchSecurity") is not None:
        yield Blocker("launch-security", "its memory is encrypted by the old host's processor")
    free = [one for tag in ("commandline", "override") for one in domain.findall(f"{QEMU}{tag}/*")]
    if free:
        yield Blocker("qemu-commandline", "it has arguments for QEMU in free text")


def _firmware_blockers(domain: ET.Element) -> Iterator[Blocker]:
    loader, path = domain.find("os/loader"), text_at(domain, "os/loader")
    if loader is not None and path:
        kind, uefi = loader.get("type"), firmware_of(domain) == "uefi"
        separate = loader.get("readonly") == "yes" or domain.find("os/nvram") is not None
        if not path.startswith(STOCK_FIRMWARE):
            yield Blocker("firmware-custom", f"it boots by a firmware of its own, {path}")
        if kind == "pflash" and not separate and loader.get("stateless") != "yes":
            yield Blocker("firmware-rw-loader", "its firmware and variables share one file")
        if kind == "rom" and uefi:
            yield Blocker("firmware-uefi-as-rom", "its UEFI is a ROM without variables")
    if attribute_at(domain, "os/nvram", "type") == "network":
        yield Blocker("nvram-network", "its UEFI variables are on the network")
    if text_at(domain, "os/kernel"):
        yield Blocker("boot-kernel", "it boots a kernel file of the old host")
    if domain.find("os/acpi/table") is not None:
        yield Blocker("acpi-table", "it has an ACPI table of its own")


def _identity_blockers(domain: ET.Element) -> Iterator[Blocker]:
    if attribute_at(domain, "os/smbios", "mode") == "host":
        yield Blocker("smbios-host", "it shows the old host's identity")
    for info in domain.findall("sysinfo"):
        if info.get("type") == "fwcfg":
            yield Blocker("smbios-fwcfg", "it gets firmware settings from files of the old host")
            continue
        kept = {f"system/{name}" for name in SMBIOS_KEPT}
        shown = {f"{group.tag}/{entry.get('name')}" for group in info for entry in group}
        if attribute_at(domain, "os/smbios", "mode") == "sysinfo" and shown - kept:
            yield Blocker("smbios-other", "it shows an identity that PVE cannot show alike")


def _scsi_models(domain: ET.Element) -> set[str]:
    """Return the models of the SCSI controllers that something hangs on.

    A drive without an address may land on any of them.
    """
    controllers = domain.findall("devices/controller[@type='scsi']")
    users = [one for one in domain.findall("devices/disk") if disk_bus(one) == "scsi"]
    users += domain.findall("devices/hostdev[@type='scsi']")
    places = {attribute_at(one, "address[@type='drive']", "controller") for one in users}
    return {
        controller.get("model") or "auto"
        for controller in controllers
        if None in places or (controller.get("index") or "0") in places
    }


def _together(domain: ET.Element) -> Iterator[Blocker]:
    """Yield what blocks only because several devices are there."""
    drives = [
        drive for drive in domain.findall("devices/disk") if drive.get("device", "disk") != "floppy"
    ]
    for bus, count in Counter(map(disk_bus, drives)).items():
        if count > SLOTS.get(bus, count):
            yield Blocker("too-many-disks", f"{count} drives on {bus}, where PVE has {SLOTS[bus]}")
    disks = [_disk(disk) for disk in _hard_disks(domain)]
    for target, count in Counter(disk.target for disk in disks).items():
        if count > 1:
            yield Blocker("disk-duplicate-target", f"{count} disks are named {target!r}")
    for source, count in Counter(disk.source for disk in disks if disk.source).items():
        if count > 1:
            yield Blocker("disk-duplicate-volume", f"{source} stands behind {count} disks")
    if len(domain.findall("devices/serial")) > SERIALS_MAX:
        yield Blocker("too-many-serials", f"PVE has {SERIALS_MAX} serial ports")
    models = _scsi_models(domain)
    for model in sorted(models - SCSI_MODELS):
        yield Blocker("scsi-controller-model", f"PVE has no SCSI controller {model}")
    if len(models) > 1:
        yield Blocker("scsi-controllers-mixed", "PVE has one model of SCSI controller per guest")
