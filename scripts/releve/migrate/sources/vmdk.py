"""Read the descriptor of a VMDK, alone or inside a sparse file's first sectors."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTOR = 512
HOSTED, ESX = b"KDMV", b"COWD"
HOSTED_HEADER = struct.Struct("<4sIIQQQQIQQQBBBBBH")
ESX_HEADER = struct.Struct("<4sIIII")
SETTING = re.compile(r'\s*([\w.]+)\s*=\s*"?(.*?)"?\s*')
EXTENT = re.compile(r'\s*(RW|RDONLY|NOACCESS)\s+([0-9]+)\s+(\w+)(?:\s+"([^"]*)"?)?(?:\s.*)?')
NO_PARENT = {"ffffffff", "fffffffe", ""}
RDM = {"VMFSRDM", "VMFSRDMP"}
DEVICES = {"fulldevice", "partitioneddevice", "vmfsrawdevicemap", "vmfspassthroughrawdevicemap"}
DESCRIPTOR_MAX = 2**20  # bytes


@dataclass(slots=True)
class Vmdk:
    """A disk's descriptor: settings with keys in lower case, extents as (sectors, type, file)."""

    magic: str | None = None
    version: int | None = None
    capacity: int | None = None
    compressed: bool = False
    described: bool = True
    keys: dict[str, str] = field(default_factory=dict)
    extents: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def parent(self) -> bool:
        """Whether the disk holds only what differs from another one."""
        return self.keys.get("parentcid", "").lower() not in NO_PARENT

    @property
    def bytes(self) -> int | None:
        """The disk's size: of its extents, or what the header says."""
        if self.extents and self.magic is None:
            return sum(sectors for sectors, _, _ in self.extents) * SECTOR
        return self.capacity


def read_vmdk(content: bytes, where: str) -> Vmdk:
    """Return what a file's descriptor says; raises InputError, naming `where`, for no VMDK."""
    if content[:4] == HOSTED:
        return _hosted(content, where)
    if content[:4] == ESX:
        return _esx(content, where)
    head = content[:DESCRIPTOR_MAX].decode("utf-8", "replace")
    if "\0" in head or "createtype" not in head.lower():
        message = f"{where}: this is no VMDK: it has neither a header nor a descriptor"
        raise InputError(message)
    return _described(Vmdk(), head)


def _hosted(content: bytes, where: str) -> Vmdk:
    if len(content) < HOSTED_HEADER.size:
        message = f"{where}: its header is cut off"
        raise InputError(message)
    found = HOSTED_HEADER.unpack_from(content)
    _, version, _, capacity, _, offset, size, *_ = found
    vmdk = Vmdk("KDMV", version, capacity * SECTOR, bool(found[-1]))
    start, end = offset * SECTOR, (offset + size) * SECTOR
    text = content[start : min(end, start + DESCRIPTOR_MAX)] if offset else b""
    if not text.strip(b"\0"):
        vmdk.described = False
        return vmdk
    return _described(vmdk, text.partition(b"\0")[0].decode("utf-8", "replace"))


def _esx(content: bytes, where: str) -> Vmdk:
    if len(content) < ESX_HEADER.size:
        message = f"{where}: its header is cut off"
        raise InputError(message)
    _, version, _, sectors, _ = ESX_HEADER.unpack_from(content)
    return Vmdk("COWD", version, sectors * SECTOR, described=False)


def _described(vmdk: Vmdk, text: str) -> Vmdk:
    for line in text.split("\n"):
        if found := EXTENT.fullmatch(line):
            vmdk.extents.append((int(found[2][:15]), found[3].upper(), found[4] or ""))
        elif not line.lstrip().startswith("#") and (setting := SETTING.fullmatch(line)):
            vmdk.keys[setting[1].lower()] = setting[2]
    return vmdk


def vmdk_blockers(vmdk: Vmdk) -> Iterator[Blocker]:
    """Yield what keeps the disk from being read as it is."""
    types = {type_ for _, type_, _ in vmdk.extents}
    if not vmdk.described:
        text = "it is one extent of a disk: read the descriptor that names it"
        yield Blocker("vmdk-no-descriptor", text)
    elif not vmdk.extents:
        yield Blocker("vmdk-no-extents", "its descriptor names no extent")
    if vmdk.parent or vmdk.keys.get("parentfilenamehint"):
        parent = vmdk.keys.get("parentfilenamehint") or "another disk"
        text = f"it holds only what differs from {parent}: delete all snapshots first"
        yield Blocker("snapshot", text)
    if types & RDM or vmdk.keys.get("createtype", "").lower() in DEVICES:
        yield Blocker("disk-rdm", "its data is a disk or LUN of the old host")
    if any(key.startswith("encryption.") for key in vmdk.keys):
        yield Blocker("disk-encrypted", "it is encrypted: its secret is needed")


def vmdk_facts(vmdk: Vmdk) -> dict[str, Any]:
    """Return what the descriptor says, plainly."""
    facts: dict[str, Any] = {
        "binary": vmdk.magic is not None,
        "disks": 1,
        "nics": 0,
        "create_type": vmdk.keys.get("createtype"),
        "extents": len(vmdk.extents),
        "extent_types": sorted({type_ for _, type_, _ in vmdk.extents}),
        "capacity_bytes": vmdk.bytes,
        "parent": vmdk.parent,
        "parent_hint": vmdk.keys.get("parentfilenamehint"),
        "adapter": vmdk.keys.get("ddb.adaptertype"),
        "cid": vmdk.keys.get("cid"),
    }
    if vmdk.magic:
        header = {"magic": vmdk.magic, "version": vmdk.version, "compressed": vmdk.compressed}
        facts |= header
    return facts


def vmdk_notes(vmdk: Vmdk) -> Iterator[str]:
    """Yield what a person should know of the disk."""
    files = [file for _, _, file in vmdk.extents if file]
    if vmdk.magic is None and files:
        yield f"its data is in {', '.join(files[:3])}{' ...' if len(files) > 3 else ''}"  # noqa: PLR2004
    if vmdk.keys.get("ddb.adaptertype") == "buslogic":
        yield "it was made for a BusLogic controller, which PVE has not"
