"""qcow2: header, backing file, external data file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from releve.migrate.images.model import View

MAGIC = b"QFI\xfb"
DIRTY, CORRUPT, DATA_FILE = 1, 2, 4
NEWEST = 3
BACKING_FORMAT, DATA_FILE_NAME = 0xE2792ACA, 0x44415441
LONGEST_NAME = 1023
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_ENTRY = 0x00FFFFFFFFFFFE00


@dataclass(frozen=True, slots=True)
class Header:
    """What a qcow2 says of itself; `backing` and `data_file` are names as written in it."""

    size: int
    backing: str
    backing_format: str
    data_file: str


def parse(view: View) -> Header:
    """Return the header; raises ImageError for one that must not be copied as it is."""
    file = view.place.file
    raw = view.whole(0, _HEADER.size, "header")
    (_magic, version, backing_at, backing_length, bits, size, crypt, l1_size, l1_at, *rest) = (
        _HEADER.unpack(raw)
    )
    if not 2 <= version <= NEWEST:  # noqa: PLR2004  # the versions there are
        message = f"{file}: qcow2 of version {version}, which nobody knows; is it damaged?"
        raise ImageError(message)
    if crypt:
        message = f"{file}: it is encrypted; `qemu-img convert` it to a plain one at the source"
        raise ImageError(message)
    incompatible, length = 0, _HEADER.size
    if version == NEWEST:
        incompatible, _compatible, _clear, _order, length = _V3.unpack(
            view.whole(_HEADER.size, _V3.size, "header")
        )
    _refuse(file, incompatible)
    _l1_whole(view, l1_at, l1_size, bits, rest[0])
    backing = ""
    if backing_at:
        if backing_length > LONGEST_NAME:
            message = f"{file}: the name of its backing file is damaged"
            raise ImageError(message)
        backing = view.whole(backing_at, backing_length, "header").decode(errors="replace")
    names = _extensions(view, length, backing_at or 1 << bits)
    if incompatible & DATA_FILE and DATA_FILE_NAME not in names:
        message = f"{file}: its data are in another file, whose name it does not say"
        raise ImageError(message)
    data_file = names.get(DATA_FILE_NAME, "") if incompatible & DATA_FILE else ""
    return Header(size, backing, names.get(BACKING_FORMAT, ""), data_file)


def _refuse(file: str, incompatible: int) -> None:
    if incompatible & CORRUPT:
        message = f"{file}: QEMU marked it corrupt; `qemu-img check` it at the source first"
        raise ImageError(message)
    if incompatible & DIRTY:
        message = (
            f"{file}: it was not closed cleanly (lazy refcounts): its guest still runs, or QEMU"
            f" was killed; with the guest off, `qemu-img check -r all {file}`"
        )
        raise ImageError(message)


def _l1_whole(view: View, at: int, count: int, bits: int, refcounts: int) -> None:
    """Refuse a file that ends before a table that its header or first table names."""
    table = view.whole(at, count * 8, "table of clusters") if count else b""
    entries = (entry & _ENTRY for (entry,) in struct.iter_unpack(">Q", table))
    last = max((refcounts, *entries)) + 8
    if last > view.size:
        message = (
            f"{view.place.file}: it is cut off: a table is at byte {last - 8}, it ends at"
            f" {view.size}; copy it anew"
        )
        raise ImageError(message)
    del bits


def _extensions(view: View, at: int, end: int) -> dict[int, str]:
    found = {}
    while at + 8 <= end:
        kind, length = struct.unpack(">II", view.whole(at, 8, "header"))
        if not kind:
            break
        if kind in {BACKING_FORMAT, DATA_FILE_NAME}:
            found[kind] = view.whole(at + 8, length, "header").decode(errors="replace")
        at += 8 + -(-length // 8) * 8
    return found
