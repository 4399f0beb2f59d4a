"""VHD (Virtual PC, older Hyper-V, XCP-ng): fixed, dynamic, differencing."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import SECTOR, ImageError

if TYPE_CHECKING:
    from releve.migrate.images.model import View

COOKIE, DYNAMIC_COOKIE = bytes.fromhex("636f6e6563746978"), b"cxsparse"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
UNUSED = 0xFFFFFFFF
_FOOTER = struct.Struct(">8sIIQIIIIQQIII16s")
_DYNAMIC = struct.Struct(">8sQQIII I16sII512s".replace(" ", ""))
_LOCATOR = struct.Struct(">4sIIIQ")
LOCATORS_AT, LOCATORS = 576, 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a VHD says of itself. `table` is where its block table lies, with `blocks` entries."""

    kind: int
    size: int
    id: uuid.UUID
    parent_id: uuid.UUID | None = None
    parent_name: str = ""
    table: int = 0
    blocks: int = 0
    block: int = 0


def footer_of(view: View) -> bytes | None:
    """Return the footer at the end of a file when there is a whole one."""
    if view.size < SECTOR:
        return None
    footer = view.read(view.size - SECTOR, SECTOR)
    return footer if footer[:8] == COOKIE and _sum_right(footer, 64) else None


def parse(view: View) -> Header:
    """Return the header; raises ImageError for a file that is cut off or damaged."""
    file = view.place.file
    footer = footer_of(view)
    if footer is None:
        cut = view.read(0, 8) == COOKIE
        why = "it is cut off: a VHD ends with its footer; copy it anew" if cut else "no VHD"
        message = f"{file}: {why}"
        raise ImageError(message)
    fields = _FOOTER.unpack_from(footer)
    size, kind, own = fields[9], fields[11], uuid.UUID(bytes=fields[13])
    if kind == FIXED:
        if view.size < size + SECTOR:
            message = f"{file}: it is cut off: {view.size} bytes of {size + SECTOR}; copy it anew"
            raise ImageError(message)
        return Header(kind, size, own)
    if kind not in {DYNAMIC, DIFFERENCING}:
        message = f"{file}: VHD of type {kind}, which nobody knows"
        raise ImageError(message)
    raw = view.whole(fields[3], 1024, "header")
    if raw[:8] != DYNAMIC_COOKIE or not _sum_right(raw, 36):
        message = f"{file}: its header is damaged; copy it anew"
        raise ImageError(message)
    inner = _DYNAMIC.unpack_from(raw)
    table, blocks, block = inner[2], inner[4], inner[5]
    if not block or block % SECTOR or blocks * block < size:
        message = f"{file}: its header is damaged: {blocks} blocks of {block} bytes for {size}"
        raise ImageError(message)
    header = Header(kind, size, own, None, "", table, blocks, block)
    _blocks_whole(view, header)
    if kind == DYNAMIC:
        return header
    name = inner[10].decode("utf-16-be", errors="replace").partition("\0")[0]
    found = _locators(view, raw) or [name]
    return Header(
        kind,
        size,
        own,
        uuid.UUID(bytes=inner[7]),
        found[0].replace("\\", "/"),
        table,
        blocks,
        block,
    )


def entries(view: View, header: Header) -> tuple[int, ...]:
    """Return the sector where each block lies; UNUSED for one that is not there."""
    raw = view.whole(header.table, header.blocks * 4, "block table")
    return struct.unpack(f">{header.blocks}I", raw)


def bitmap_length(header: Header) -> int:
    """Return the bytes before a block's data that say which of its sectors are there."""
    return -(-header.block // SECTOR // 8 // SECTOR) * SECTOR


def _blocks_whole(view: View, header: Header) -> None:
    last = max((entry for entry in entries(view, header) if entry != UNUSED), default=0)
    end = last * SECTOR + bitmap_length(header) + header.block if last else 0
    if end > view.size:
        message = f"{view.place.file}: it is cut off: a block ends at byte {end}; copy it anew"
        raise ImageError(message)


def _locators(view: View, raw: bytes) -> list[str]:
    """Return names of the parent, the relative one first."""
    names = {}
    for number in range(LOCATORS):
        code, _space, length, _none, at = _LOCATOR.unpack_from(raw, LOCATORS_AT + number * 24)
        if code in {b"W2ru", b"W2ku"} and length:
            text = view.whole(at, length, "name of its parent")
            names[code] = text.decode("utf-16-le", errors="replace").rstrip("\0")
        elif code == b"MacX" and length:  # XCP-ng
            text = view.whole(at, length, "name of its parent")
            names[code] = text.decode(errors="replace").rstrip("\0").removeprefix("file://")
    return [names[code] for code in (b"W2ru", b"MacX", b"W2ku") if code in names]


def _sum_right(raw: bytes, at: int) -> bool:
    told = int.from_bytes(raw[at : at + 4], "big")
    return (~(sum(raw[:at]) + sum(raw[at + 4 :])) & 0xFFFFFFFF) == told
