"""VMDK of each kind: one sparse file, a descriptor with extents, ESXi's snapshots, an export."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import SECTOR, ImageError, Piece, beside

if TYPE_CHECKING:
    from releve.migrate.images.model import View

SPARSE_MAGIC, ESX_MAGIC = b"KDMV", b"COWD"
SESPARSE_MAGIC = struct.pack("<Q", 0xCAFEBABE)
NO_PARENT = "ffffffff"
MOST_TEXT = 1 << 20  # bytes of a descriptor; QEMU takes no longer one
FLAT, SPARSE, RAW = {"FLAT", "VMFS"}, {"SPARSE", "VMFSSPARSE", "SESPARSE"}, {"VMFSRDM", "VMFSRDMP"}
KINDS = {
    "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs",
    "vmfsSparse", "seSparse", "streamOptimized",
}  # fmt: skip
AT_END = 0xFFFFFFFFFFFFFFFF
COMPRESSED = 1 << 16
_SPARSE = struct.Struct("<4sIIQQQQIQQQ?cccc")
_EXTENT = re.compile(r'^\s*(RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)(?:\s+"([^"]*)")?(?:\s+(\d+))?')
_FIELD = re.compile(r'^\s*([\w.]+)\s*=\s*"?([^"]*?)"?\s*$')


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a VMDK says of itself. `cid` changes when its guest writes; a child names its parent's.

    `text` is the descriptor as it stands. `inside`: the data lie in the same file.
    """

    cid: str
    parent_cid: str
    parent: str
    kind: str
    pieces: tuple[Piece, ...]
    text: str
    inside: bool

    @property
    def size(self) -> int:
        """What the guest sees, in bytes."""
        return sum(piece.length for piece in self.pieces)


def parse(view: View) -> Descriptor:
    """Return the descriptor, its extents looked at; raises ImageError."""
    head = view.read(0, SECTOR)
    inside = head[:4] == SPARSE_MAGIC
    text = _embedded(view, head) if inside else _text(view, head)
    fields = {m[1].lower(): m[2] for m in map(_FIELD.match, text.splitlines()) if m}
    kind = fields.get("createtype", "")
    if kind not in KINDS:
        message = (
            f"{view.place.file}: VMDK of type {kind or 'nothing'!r}, which cannot be read as files;"
            " clone it at its source (`vmkfstools -i`) and name the clone"
        )
        raise ImageError(message)
    pieces = tuple(_pieces(view, text, inside=inside))
    if not pieces:
        message = f"{view.place.file}: its descriptor names no extent; is it damaged?"
        raise ImageError(message)
    return Descriptor(
        cid=fields.get("cid", "").lower().lstrip("0"),
        parent_cid=fields.get("parentcid", NO_PARENT).lower().lstrip("0"),
        parent=fields.get("parentfilenamehint", ""),
        kind=kind,
        pieces=pieces,
        text=text,
        inside=inside,
    )


def _text(view: View, head: bytes) -> str:
    if b"# disk descriptorfile" not in head.lower():
        name = view.place.file.rpartition("/")[2]
        other = re.sub(r"-(flat|delta|sesparse|[sf]\d{3})\.vmdk$", ".vmdk", name)
        hint = f"; name its descriptor, {other}" if other != name else ""
        message = f"{view.place.file}: no VMDK descriptor{hint}"
        raise ImageError(message)
    return view.read(0, MOST_TEXT).partition(b"\0")[0].decode(errors="replace")


def _embedded(view: View, head: bytes) -> str:
    """Return the descriptor inside of a sparse file, which must be whole."""
    if len(head) < SECTOR:
        message = f"{view.place.file}: it is cut off within its header; copy it anew"
        raise ImageError(message)
    _magic, _version, flags, capacity, _grain, at, length, *_rest = _SPARSE.unpack_from(head)
    directory = _SPARSE.unpack_from(head)[9]
    if directory == AT_END or flags & COMPRESSED:
        _stream_whole(view)
    elif (directory + 1) * SECTOR > view.size:
        message = f"{view.place.file}: it is cut off before its grain directory; copy it anew"
        raise ImageError(message)
    if not at:
        lines = f'createType="monolithicSparse"\nCID=0\nRW {capacity} SPARSE "-"\n'
        return f"# Disk DescriptorFile\n{lines}"
    raw = view.whole(at * SECTOR, length * SECTOR, "descriptor")
    return raw.partition(b"\0")[0].decode(errors="replace")


def _stream_whole(view: View) -> None:
    """Refuse an export without its end: footer and end-of-stream marker are its last sectors."""
    end = view.size // SECTOR * SECTOR
    footer = view.read(end - 2 * SECTOR, SECTOR) if end > 2 * SECTOR else b""
    if footer[:4] != SPARSE_MAGIC or view.read(end - SECTOR, SECTOR).strip(b"\0"):
        head = view.read(0, SECTOR)
        if _SPARSE.unpack_from(head)[9] != AT_END:
            return  # its directory lies in front: there need not be a footer
        message = f"{view.place.file}: it is cut off: an export ends with a footer; export it anew"
        raise ImageError(message)


def _pieces(view: View, text: str, *, inside: bool) -> list[Piece]:
    pieces = []
    for found in filter(None, map(_EXTENT.match, text.splitlines())):
        access, sectors, kind, name, offset = found.groups()
        length, start = int(sectors) * SECTOR, int(offset or 0) * SECTOR
        if access == "NOACCESS" or kind in RAW:
            message = (
                f"{view.place.file}: a raw device mapping; name the device itself (format raw),"
                " or clone it into a file at the source (`vmkfstools -i`)"
            )
            raise ImageError(message)
        if kind == "ZERO":
            pieces.append(Piece(kind, length))
        elif inside:
            pieces.append(Piece(kind, length, view.place.file))
        elif kind in FLAT | SPARSE and name:
            file = beside(view.place, name)
            _look_at(view, kind, file, start + length)
            pieces.append(Piece(kind, length, file, start))
        else:
            message = f"{view.place.file}: an extent of kind {kind}, which nobody here can read"
            raise ImageError(message)
    return pieces


def _look_at(view: View, kind: str, file: str, end: int) -> None:
    """Refuse an extent that is not there, cut off, or of another kind than the descriptor says."""
    reader = view.reader
    if not reader.exists(file):
        message = f"{file}: {view.place.file} needs it, and it is not there; copy it beside it"
        raise ImageError(message)
    if kind in FLAT:
        if reader.size(file) < end:
            message = f"{file}: it is cut off: {reader.size(file)} bytes of {end}; copy it anew"
            raise ImageError(message)
        return
    head = reader.read(file, 0, SECTOR)
    if not head.startswith((SPARSE_MAGIC, ESX_MAGIC, SESPARSE_MAGIC)) or len(head) < SECTOR:
        message = (
            f"{file}: it is no sparse extent, as {view.place.file} says; is it cut or damaged?"
        )
        raise ImageError(message)
    if head[:4] == SPARSE_MAGIC:
        directory = _SPARSE.unpack_from(head)[9]
        if directory != AT_END and (directory + 1) * SECTOR > reader.size(file):
            message = f"{file}: it is cut off before its grain directory; copy it anew"
            raise ImageError(message)
