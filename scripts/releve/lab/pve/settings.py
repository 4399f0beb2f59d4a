"""What a guest's configuration may hold, and which privilege each key asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import guestfile
from .parameters import Parameter, flag, number, one_of, text
from .refusal import fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rights import Rights

LOCKS = (
    "backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete",
    "suspending", "suspended",
)  # fmt: skip
OS_TYPES = (
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
)  # fmt: skip
CONTROLLERS = ("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi")
SETTINGS = {
    "acpi": flag(),
    "agent": text("#agent"),
    "args": text(),
    "balloon": number(0),
    "bios": one_of("seabios", "ovmf"),
    "boot": text("pve-qm-boot"),
    "cores": number(1),
    "cpu": text("#cpu"),
    "description": text(max_length=8192),
    "efidisk0": text("#efidisk"),
    "ide[n]": text("#disk", count=4),
    "kvm": flag(),
    "localtime": flag(),
    "lock": one_of(*LOCKS),
    "machine": text("#machine"),
    "memory": text("#memory"),
    "name": text("dns-name"),
    "net[n]": text("#nic", count=32),
    "onboot": flag(),
    "ostype": one_of(*OS_TYPES),
    "protection": flag(),
    "sata[n]": text("#disk", count=6),
    "scsi[n]": text("#disk", count=31),
    "scsihw": one_of(*CONTROLLERS),
    "serial[n]": Parameter(pattern="(/dev/[^,]+|socket)", count=4),
    "smbios1": text("#smbios1", max_length=512),
    "sockets": number(1),
    "startup": text("pve-startup-order"),
    "tablet": flag(),
    "tags": text("pve-tag-list"),
    "tpmstate0": text("#tpmstate"),
    "unused[n]": text("#unused", count=256),
    "vga": text("#vga"),
    "virtio[n]": text("#disk", count=16),
    "vmgenid": text(pattern=r"(?:[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])"),
}
PRIVILEGE_OF = {
    "VM.Config.CPU": ("cores", "cpu", "sockets"),
    "VM.Config.Memory": ("memory", "balloon"),
    "VM.Config.HWType": ("acpi", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga"),
    "VM.Config.Options": (
        "agent",
        "bios",
        "description",
        "localtime",
        "lock",
        "name",
        "onboot",
        "ostype",
        "protection",
        "startup",
        "tags",
    ),
    "VM.Config.Disk": ("boot", "efidisk0", "tpmstate0"),
}
_BY_KEY = {key: privilege for privilege, keys in PRIVILEGE_OF.items() for key in keys}
CHANGED_WHILE_RUNNING = {
    "boot", "description", "lock", "name", "onboot", "protection", "startup", "tags",
}  # fmt: skip


def check_rights(rights: Rights, vmid: int, pool: str, keys: Iterable[str]) -> None:
    """Raise unless the caller may set each of these keys."""
    if rights.root:
        return
    for key in keys:
        slot = re.sub(r"\d+$", "", key)
        if key in {"args", "lock", "vmgenid"}:
            raise fault(f"only root can set '{key}' config")
        if key == "startup":  # it changes what the host does when it stops
            rights.need("/", "Sys.Modify")
        if slot in {"virtio", "scsi", "sata", "ide", "unused"}:
            rights.need_on_guest(vmid, pool, "VM.Config.Disk")
        elif slot == "net":
            rights.need_on_guest(vmid, pool, "VM.Config.Network")
        elif slot == "serial":
            rights.need_on_guest(vmid, pool, "VM.Config.HWType")
        else:
            rights.need_on_guest(vmid, pool, _BY_KEY.get(key, "VM.Config.Options"))


def check_bridges(rights: Rights, new: dict[str, str], old: dict[str, str]) -> None:
    """Raise unless the caller may use the bridges that are not in the configuration yet."""
    known = {nic.get("bridge") for nic in guestfile.nics(old).values()}
    for nic in guestfile.nics(new).values():
        bridge = nic.get("bridge")
        if bridge and bridge not in known:
            rights.need(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")


def check_boot(config: dict[str, str]) -> None:
    """Raise when the boot order names a device that is not there."""
    for slot in config.get("boot", "").removeprefix("order=").split(";"):
        if slot and slot not in config:
            raise fault(f"invalid bootorder: device '{slot}' does not exist'")


def default_boot(config: dict[str, str]) -> str:
    """Return the boot order when none is given: first disk, then first card, else nothing."""
    found = [slot for slot in guestfile.disks(config) if slot not in guestfile.HIDDEN]
    cards = list(guestfile.nics(config))
    slots = found[:1] + cards[:1]
    return f"order={';'.join(slots)}" if slots else ""
