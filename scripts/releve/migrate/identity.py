"""What of a guest's identity the town file can keep, and what a person has to be told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

from releve.pve.identity import CPU_FLAGS, CPU_MODELS, CPU_RENAMED
from releve.town.model import NicModel, ScsiModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.sources.domain import Cpu, DiskFound, Domain, Smbios

MACHINE = re.compile(r"pc(?:-i440fx|-q35)?-([0-9]+(?:\.[0-9]+)+(?:\+pve[0-9]+)?)(?:\.pxe)?")
OLDEST = (2, 4)  # of QEMU 10.0, as `-machine help` lists them
DEPRECATED = (7, 0)  # and older: QEMU 10.0 says that it will give them up
OURS = {"kvm", "qemu", "pve"}  # a guest of these keeps its maker's name, others their number only
NIC_MODELS = set(get_args(NicModel))
SCSI_MODELS = set(get_args(ScsiModel))


def machine_version(machine: str | None) -> str | None:
    """Return the version that a machine's name pins (7.2 of pc-q35-7.2); None without one.

    A distribution's own (pc-q35-rhel8.6.0) is none, and one that QEMU gave up: no PVE has it.
    """
    found = _pinned(machine)
    return found if found and _numbers(found) >= OLDEST else None


def _pinned(machine: str | None) -> str | None:
    found = MACHINE.fullmatch((machine or "").split(",")[0])
    return found[1] if found else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part[:6]) for part in version.partition("+")[0].split("."))


def identity_entry(domain: Domain) -> dict[str, Any]:
    """Return the keys of a town file's guest that keep what it sees of its machine."""
    identity = domain.identity
    sockets = identity.cpu.sockets
    said: dict[str, Any] = {
        "machine_version": machine_version(domain.machine),
        "smbios": _smbios(identity.smbios, domain.hypervisor),
        "vmgenid": _uuid(identity.vmgenid),
        "cpu": cpu_of(identity.cpu),
        "clock": identity.clock if identity.clock != "utc" else None,
        "tpm": identity.tpm.version if identity.tpm else None,
        "os": identity.os if identity.os != "l26" else None,
        "scsi_controller": _controller(domain),
        "sockets": sockets if sockets > 1 and domain.cpus % sockets == 0 else None,
    }
    return {key: value for key, value in said.items() if value}


def _controller(domain: Domain) -> str | None:
    """Return the SCSI controller to give: PVE's UEFI has no driver for LSI's, as its importer."""
    identity = domain.identity
    if domain.firmware == "uefi" and (identity.scsi_controller or "").startswith("lsi"):
        return "pvscsi" if (identity.os or "").startswith("w") else "virtio-scsi-single"
    return identity.scsi_controller


def disk_entry(disk: DiskFound) -> dict[str, str]:
    """Return the keys of a town file's disk that the guest can read."""
    said = {"serial": disk.serial, "wwn": (disk.wwn or "").removeprefix("0x").lower()}
    if disk.serial and not re.fullmatch(r"[\x21-\x7e]{1,60}", disk.serial):
        said["serial"] = None
    if not re.fullmatch(r"[0-9a-f]{16}", said["wwn"] or ""):
        said["wwn"] = None
    return {key: value for key, value in said.items() if value}


def _smbios(smbios: Smbios, hypervisor: str) -> dict[str, str]:
    kept = {"uuid": _uuid(smbios.uuid), "serial": smbios.serial}
    if hypervisor in OURS:
        kept |= {
            key: getattr(smbios, key)
            for key in ("manufacturer", "product", "version", "sku", "family")
        }
    return {key: value for key, value in kept.items() if value}


def _uuid(text: str | None) -> str | None:
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        return None


def cpu_of(cpu: Cpu) -> str | None:
    """Return a processor in PVE's words; None when PVE has none such by name."""
    model = CPU_RENAMED.get(cpu.model or "", cpu.model or "")
    if model not in CPU_MODELS:
        return None
    flags = [flag for flag in cpu.flags if flag[1:] in CPU_FLAGS]
    return f"{model},flags={';'.join(flags)}" if flags else model


def _machine_notes(machine: str | None) -> Iterator[str]:
    pinned = _pinned(machine)
    if not machine:
        return
    if pinned and _numbers(pinned) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield f"machine {machine} was given up by QEMU: {oldest} is the oldest that PVE 9 starts"
    elif pinned is None:
        yield (
            f"machine {machine} pins no version that PVE has: its devices may get other places,"
            " which Windows takes for new hardware"
        )
    elif _numbers(pinned) <= DEPRECATED:
        yield f"machine {machine} will be given up by a later QEMU: raise it after the move"


def identity_notes(domain: Domain) -> Iterator[str]:
    """Yield what the guest will see differently, and what follows from it."""
    identity, cpu = domain.identity, domain.identity.cpu
    yield from _machine_notes(domain.machine)
    if cpu.model in CPU_RENAMED:
        yield f"processor {cpu.model} was given up by QEMU: {CPU_RENAMED[cpu.model]} replaces it"
    if cpu.model and cpu_of(cpu) is None:
        yield (
            f"processor {cpu.model} has no name in PVE: choose guests.NAME.cpu; what is licensed"
            " by processor or compiled for its flags may notice"
        )
    if lost := [flag for flag in cpu.flags if flag[1:] not in CPU_FLAGS]:
        yield f"processor flags that PVE sets for no single guest: {' '.join(lost)}"
    if cpu.threads > 1:
        yield f"{cpu.threads} threads per core become as many cores: licences by core may notice"
    if domain.hypervisor not in OURS and identity.smbios.manufacturer:
        yield f"the machine's maker was {identity.smbios.manufacturer} and becomes QEMU"
    if _controller(domain) != identity.scsi_controller:
        yield (
            f"PVE's UEFI has no driver for {identity.scsi_controller}: {_controller(domain)} is"
            " taken, whose driver must be inside before the move"
        )
    if identity.vmgenid is None:
        yield "it has no generation id (vmgenid): the new host gives it a first one"
    for disk in domain.disks:
        yield from _disk_notes(disk)
    for nic in domain.nics:
        if nic.model not in NIC_MODELS:
            yield f"network card {nic.mac} is a {nic.model}, which PVE has not"


def _disk_notes(disk: DiskFound) -> Iterator[str]:
    if disk.serial and "serial" not in disk_entry(disk):
        yield f"disk {disk.target} shows the serial number {disk.serial!r}, too odd for PVE"
    elif disk.serial:
        yield f"disk {disk.target} shows the serial number {disk.serial}"
    if disk.vendor or disk.product:
        names = " ".join(filter(None, (disk.vendor, disk.product)))
        yield f"disk {disk.target} is named {names}, which PVE cannot show"
