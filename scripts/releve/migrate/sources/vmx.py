"""Read VMware's file of a guest (.vmx) into a guest; keys have no case, devices need present."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.migrate.sources.domain import Cpu, Domain, Identity, Smbios, Tpm
from releve.migrate.sources.libvirt_facts import dns_ok
from releve.migrate.sources.vmware import (
    OS_NOTES,
    genid_of,
    os_of,
    scsi_of,
    uuid_of,
    whole,
)
from releve.migrate.sources.vmx_devices import account

if TYPE_CHECKING:
    from releve.migrate.sources.vmx_devices import Found

LINE = re.compile(r"\s*([^\s=]+)\s*=\s*(.*?)\s*")
ESCAPED = re.compile(r"\|([0-9A-Fa-f]{2})")
DEVICE = re.compile(r"([a-z_]+\d+(?::\d+)?)\.(.+)")
SIZE_MAX = 4 * 2**20  # characters


@dataclass(slots=True)
class Vmx:
    """The settings of a .vmx: keys in lower case, values as they stand there."""

    keys: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    encoding: str = "utf-8"

    def get(self, key: str) -> str | None:
        """Return a value; None when it is missing or empty."""
        return self.keys.get(key.lower()) or None

    def yes(self, key: str) -> bool:
        """Say whether a switch is on."""
        return (self.get(key) or "").lower() in {"true", "1", "yes"}

    def devices(self) -> dict[str, dict[str, str]]:
        """Return the settings of each numbered device by its name (scsi0, scsi0:1, ethernet0)."""
        found: dict[str, dict[str, str]] = {}
        for key, value in self.keys.items():
            if match := DEVICE.fullmatch(key):
                found.setdefault(match[1], {})[match[2]] = value
        return found


def read_vmx(content: bytes, where: str) -> Vmx:
    """Return the settings of a file; raises InputError, naming `where`, when it has none."""
    text, encoding = _decoded(content)
    if "\0" in text or len(text) > SIZE_MAX:
        message = f"{where}: this is no .vmx file: it is binary or too long"
        raise InputError(message)
    vmx = Vmx(encoding=encoding)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if found is None:
            vmx.odd.append(f"line {number}: {line.strip()[:60]!r}")
            continue
        key, value = found[1].lower(), _value(found[2])
        if vmx.keys.get(key, value) != value:
            vmx.repeated.append(found[1])
        vmx.keys[key] = value
    if not vmx.keys:
        message = f"{where}: this is no .vmx file: it has no `key = value` line"
        raise InputError(message)
    return vmx


def _decoded(content: bytes) -> tuple[str, str]:
    """Return the text and the name of its encoding: the one that the file says, else UTF-8."""
    named = re.search(rb'(?im)^\s*\.encoding\s*=\s*"?([\w-]+)', content)
    name = named[1].decode() if named else "utf-8"
    for encoding in (name, "utf-8"):
        try:
            return content.decode(encoding).removeprefix("\ufeff"), name
        except (LookupError, ValueError):
            continue
    return content.decode("utf-8", "replace"), name


def _value(text: str) -> str:
    """Return a value without its quotes; a missing closing quote is no fault."""
    text = text.removeprefix('"')
    text = text.removesuffix('"')
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).strip()


def vmx_guest(vmx: Vmx, where: str) -> tuple[Domain, Found]:
    """Return the guest that the settings describe, and its devices in VMware's words."""
    found = account(vmx)
    return _guest(vmx, where, found), found


def _guest(vmx: Vmx, where: str, found: Found) -> Domain:
    cpus = whole(vmx.get("numvcpus")) or 1
    memory = whole(vmx.get("memsize"))
    uefi = (vmx.get("firmware") or "").lower() == "efi"
    system = os_of(vmx.get("guestos"))
    return Domain(
        name=vmx.get("displayname") or where.removesuffix(".vmx"),
        uuid=uuid_of(vmx.get("uuid.bios")),
        hypervisor="esxi",
        arch="x86_64",
        machine=None,
        firmware="uefi" if uefi else "bios",
        secure_boot=vmx.yes("uefi.secureboot.enabled"),
        loader=None,
        nvram=vmx.get("nvram"),
        memory_kib=(memory or 0) * 1024,
        cpus=cpus,
        cpus_max=cpus,
        clock="utc",
        acpi=True,
        agent=False,
        disks=tuple(found.disks),
        nics=tuple(found.nics),
        parts=tuple(found.parts),
        blockers=tuple(dict.fromkeys(found.blockers)),
        identity=_identity(vmx, found, cpus, system),
        notes=tuple(_notes(vmx, found, uefi, system)),
    )


def _identity(vmx: Vmx, found: Found, cpus: int, system: str | None) -> Identity:
    raw, uuid = vmx.get("uuid.bios"), uuid_of(vmx.get("uuid.bios"))
    cores = whole(vmx.get("cpuid.corespersocket")) or 1
    sockets = cpus // cores if cpus % cores == 0 else cpus
    return Identity(
        smbios=Smbios(
            uuid=uuid,
            manufacturer="VMware, Inc.",
            serial=f"VMware-{raw}" if uuid else None,
        ),
        cpu=Cpu("host", sockets=sockets, cores=cpus // sockets if sockets else 1),
        vmgenid=genid_of(vmx.get("vm.genid"), vmx.get("vm.genidx")),
        clock="localtime" if system and system.startswith("w") else "utc",
        tpm=Tpm("2.0") if vmx.yes("vtpm.present") else None,
        os=system,
        scsi_controller=scsi_of(found.scsi),
    )


def _notes(vmx: Vmx, found: Found, uefi: bool, system: str | None) -> list[str]:
    notes = list(found.notes)
    if vmx.get("config.version") is None and vmx.get("virtualhw.version") is None:
        notes.append("a fragment: it has neither config.version nor virtualHW.version")
    if vmx.get("memsize") is None:
        notes.append("it says no memory: choose guests.NAME.memory_mib")
    if uefi:
        notes.append("VMware's EFI variables cannot be carried: boot entries are made anew")
    if system is None and vmx.get("guestos"):
        notes.append(f"guestOS {vmx.get('guestos')}: choose guests.NAME.os")
    notes += [note for begin, note in OS_NOTES if (system or "").startswith(begin)]
    if "{{" in (vmx.get("displayname") or ""):
        notes.append(f"its name {vmx.get('displayname')} is a placeholder: this is a template")
    notes += [f"{key} stands there twice: the last one holds" for key in vmx.repeated]
    notes += [f"{line} is no setting" for line in vmx.odd]
    if vmx.get("uuid.bios"):
        notes.append(
            "which byte order of the UUID the guest saw depends on its hardware version:"
            " compare guests.NAME.smbios.uuid with `dmidecode -s system-uuid` inside"
        )
    return notes


def vmx_facts(vmx: Vmx, guest: Domain, found: Found) -> dict[str, Any]:
    """Return what the file says, plainly."""
    return {
        "name": vmx.get("displayname"),
        "name_dns_ok": dns_ok(vmx.get("displayname")),
        "guestos": vmx.get("guestos"),
        "hw": vmx.get("virtualhw.version"),
        "encoding": vmx.encoding,
        "disks": len(guest.disks),
        "cdroms": found.count("cdrom"),
        "floppies": found.count("floppy"),
        "nics": len(guest.nics),
        "serials": found.count("serial"),
        "firmware": guest.firmware,
        "secure_boot": guest.secure_boot,
        "tpm": guest.identity.tpm is not None,
        "memory_mib": whole(vmx.get("memsize")),
        "vcpus": guest.cpus,
        "scsi_controllers": sorted(set(found.controllers)),
        "disk_list": found.drives,
        "nic_list": found.cards,
    }
