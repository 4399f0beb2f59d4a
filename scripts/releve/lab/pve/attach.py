"""Disks and network cards of a configuration: what is asked for becomes what is kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from . import guestfile
from .cmdline import VARIABLES
from .command import run
from .formats import PROPERTY_STRINGS
from .refusal import bad, fault
from .volumes import KIB, VOLUME, described, kib_of, readable

if TYPE_CHECKING:
    from .rights import Rights
    from .volumes import Storages

ASKED = re.compile(r"(?P<storage>[a-zA-Z][\w.-]*):(?P<gib>\d+(\.\d+)?)")
PREFIX = "BC:24:11"
TPM_KIB = 4096  # whatever size is asked for


def check_disks(
    rights: Rights, storages: Storages, vmid: int, asked: dict[str, str], kept: dict[str, str]
) -> None:
    """Raise what PVE refuses at once: unknown storages, missing volumes, missing rights."""
    for slot, disk in guestfile.disks(asked).items():
        source = disk.get("import-from", "")
        fresh = ASKED.fullmatch(disk["file"])
        if source and not (fresh and float(fresh["gib"]) == 0):
            message = "'import-from' requires special syntax - use <storage ID>:0,import-from="
            raise bad({slot: f"{message}<source>"})
        if source.startswith("/") and not rights.root:
            # PVE's own words, its file and line included.
            where = "at /usr/share/perl5/PVE/Storage.pm line 651."
            raise fault(f"Only root can pass arbitrary filesystem paths. {where}")
        if disk["file"] == "none":
            continue
        storages.one(disk["file"].partition(":")[0])
        if fresh:
            rights.need(f"/storage/{fresh['storage']}", "Datastore.AllocateSpace")
        elif kept.get(slot, "").split(",")[0] != disk["file"]:
            _check_volume(rights, storages, vmid, disk["file"])


def _check_volume(rights: Rights, storages: Storages, vmid: int, volume: str) -> None:
    storage, owner, file = storages.split(volume)
    storages.usable(storage)
    if owner != vmid:
        rights.need(f"/storage/{storage}", "Datastore.Audit")
        rights.need(f"/vms/{owner}", "VM.Config.Disk")
    if not file.exists():
        raise fault(f"volume '{volume}' does not exist")


def settle(storages: Storages, vmid: int, asked: dict[str, str]) -> dict[str, str]:
    """Make the volumes that are asked for, and return the values as PVE keeps them."""
    settled = dict(asked)
    for slot, disk in guestfile.disks(asked).items():
        if disk["file"] != "none":
            settled[slot] = _disk(storages, vmid, slot, disk)
    for slot, nic in guestfile.nics(asked).items():
        nic.setdefault("macaddr", _mac())
        settled[slot] = PROPERTY_STRINGS["nic"].write(nic)
    return settled


def _disk(storages: Storages, vmid: int, slot: str, disk: dict[str, str]) -> str:
    fresh = ASKED.fullmatch(disk["file"])
    if fresh:
        form = disk.pop("format", "raw")
        source = disk.pop("import-from", "")
        name = storages.free_name(fresh["storage"], vmid, form)
        if slot.startswith("efidisk"):
            disk["file"] = storages.allocate(fresh["storage"], vmid, name, "raw", 0)
            shutil.copyfile(VARIABLES, storages.split(disk["file"])[2])
        elif slot.startswith("tpmstate"):
            disk["file"] = storages.allocate(fresh["storage"], vmid, name, "raw", TPM_KIB)
        elif source:
            disk["file"] = _imported(storages, (fresh["storage"], vmid, name), form, source)
        else:
            kib = int(float(fresh["gib"]) * KIB * KIB)
            disk["file"] = storages.allocate(fresh["storage"], vmid, name, form, kib)
    file = storages.split(disk["file"])[2]
    disk["size"] = readable(described(file)["size"])
    return PROPERTY_STRINGS["disk"].write(disk)


def _imported(storages: Storages, target: tuple[str, int, str], form: str, source: str) -> str:
    path = Path(source) if source.startswith("/") else storages.split(source)[2]
    if not path.exists():
        raise fault(f"can't find file '{path}'")
    storage, vmid, name = target
    volume = storages.allocate(storage, vmid, name, form, kib_of("1M"))
    run(["qemu-img", "convert", "-O", form, str(path), str(storages.split(volume)[2])], 3600)
    return volume


def _mac() -> str:
    tail = ":".join(f"{byte:02X}" for byte in os.urandom(3))
    return f"{PREFIX}:{tail}"


def volumes_of(config: dict[str, str]) -> list[str]:
    """Return the volumes that a configuration names, unused ones included."""
    named = [disk["file"] for disk in guestfile.disks(config).values()]
    named += [value for key, value in config.items() if key.startswith("unused")]
    return [volume for volume in named if VOLUME.fullmatch(volume)]
