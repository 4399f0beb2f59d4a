"""VHDX (Hyper-V): headers, log, regions, metadata, the parent of a checkpoint."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from releve.migrate.images.model import View

MAGIC = b"vhdxfile"
KIB, MIB = 1 << 10, 1 << 20
HEADERS_AT, REGIONS_AT = (64 * KIB, 128 * KIB), (192 * KIB, 256 * KIB)
HEADER_LENGTH, REGIONS_LENGTH = 4 * KIB, 64 * KIB
BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
HAS_PARENT = 2
PRESENT, PARTLY = 6, 7  # states of a block that lies in the file
CHUNK = 1 << 23  # sectors that one bitmap block speaks of
_HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
_REGION = struct.Struct("<16sQII")
_ITEM = struct.Struct("<16sIIII")


@dataclass(frozen=True, slots=True)
class Header:
    """What a VHDX says of itself; `written` changes whenever its guest writes.

    `table` is where the block table lies; blocks are of `block` bytes, sectors of `sector`.
    """

    size: int
    block: int
    sector: int
    written: uuid.UUID
    table: int
    table_length: int
    parent: dict[str, str] | None

    @property
    def chunk_blocks(self) -> int:
        """Blocks between two bitmap entries of the table."""
        return CHUNK * self.sector // self.block


def parse(view: View) -> Header:
    """Return the header; raises ImageError for one that is dirty, cut off or damaged."""
    file = view.place.file
    view.whole(0, REGIONS_AT[1] + REGIONS_LENGTH, "header")
    head = _newest(view)
    fields = _HEADER.unpack_from(head)
    if fields[5] != bytes(16):
        message = (
            f"{file}: its log was not written back: its guest still runs, or its host went down;"
            " start and stop the guest at its source, or `qemu-img check -r all` a copy of it"
        )
        raise ImageError(message)
    regions = _regions(view)
    if BAT not in regions or METADATA not in regions:
        message = f"{file}: its region table is damaged; copy it anew"
        raise ImageError(message)
    items = _items(view, *regions[METADATA])
    if not {PARAMETERS, DISK_SIZE, SECTOR_SIZE} <= items.keys():
        message = f"{file}: its metadata are damaged; copy it anew"
        raise ImageError(message)
    block, flags = struct.unpack_from("<II", items[PARAMETERS])
    (size,), (sector,) = (
        struct.unpack_from("<Q", items[DISK_SIZE]),
        struct.unpack_from("<I", items[SECTOR_SIZE]),
    )
    if not MIB <= block <= 256 * MIB or sector not in {512, 4096}:
        message = f"{file}: its metadata are damaged: blocks of {block}, sectors of {sector} bytes"
        raise ImageError(message)
    parent = _parent(file, items) if flags & HAS_PARENT else None
    written = uuid.UUID(bytes_le=fields[4])
    header = Header(size, block, sector, written, *regions[BAT], parent)
    _blocks_whole(view, header)
    return header


def entries(view: View, header: Header) -> tuple[int, ...]:
    """Return the block table, the entries of sector bitmaps among them."""
    count = header.table_length // 8
    data = -(-header.size // header.block)
    chunks = -(-data // header.chunk_blocks)
    needed = (
        chunks * (header.chunk_blocks + 1)
        if header.parent
        else data + (data - 1) // (header.chunk_blocks)
    )
    count = min(count, needed)
    return struct.unpack(f"<{count}Q", view.whole(header.table, count * 8, "block table"))


def _blocks_whole(view: View, header: Header) -> None:
    for number, entry in enumerate(entries(view, header)):
        bitmap = (number + 1) % (header.chunk_blocks + 1) == 0
        length = MIB if bitmap else header.block
        if entry & 7 in {PRESENT, PARTLY} and (entry >> 20) * MIB + length > view.size:
            end = (entry >> 20) * MIB + length
            message = f"{view.place.file}: it is cut off: a block ends at byte {end}; copy it anew"
            raise ImageError(message)


def _newest(view: View) -> bytes:
    found = []
    for at in HEADERS_AT:
        raw = view.whole(at, HEADER_LENGTH, "header")
        if raw[:4] == b"head" and _sum_right(raw):
            found.append((_HEADER.unpack_from(raw)[2], raw))
    if not found:
        message = f"{view.place.file}: both its headers are damaged; copy it anew"
        raise ImageError(message)
    return max(found)[1]


def _regions(view: View) -> dict[uuid.UUID, tuple[int, int]]:
    for at in REGIONS_AT:
        raw = view.whole(at, REGIONS_LENGTH, "region table")
        if raw[:4] == b"regi" and _sum_right(raw):
            count = min(int.from_bytes(raw[8:12], "little"), 2047)
            rows = (_REGION.unpack_from(raw, 16 + 32 * number) for number in range(count))
            return {uuid.UUID(bytes_le=row[0]): (row[1], row[2]) for row in rows}
    message = f"{view.place.file}: both its region tables are damaged; copy it anew"
    raise ImageError(message)


def _items(view: View, at: int, length: int) -> dict[uuid.UUID, bytes]:
    raw = view.whole(at, min(length, 64 * KIB), "metadata")
    if raw[:8] != b"metadata":
        return {}
    count = min(int.from_bytes(raw[10:12], "little"), 2047)
    rows = (_ITEM.unpack_from(raw, 32 + 32 * number) for number in range(count))
    return {uuid.UUID(bytes_le=row[0]): view.whole(at + row[1], row[2], "metadata") for row in rows}


def _parent(file: str, items: dict[uuid.UUID, bytes]) -> dict[str, str]:
    raw = items.get(PARENT, b"")
    found = {}
    if len(raw) >= 20:  # noqa: PLR2004  # its header
        for number in range(int.from_bytes(raw[18:20], "little")):
            key_at, at, key_length, length = struct.unpack_from("<IIHH", raw, 20 + 12 * number)
            key = raw[key_at : key_at + key_length].decode("utf-16-le", errors="replace")
            found[key] = raw[at : at + length].decode("utf-16-le", errors="replace")
    if "parent_linkage" not in found:
        message = f"{file}: it needs a parent and does not say which; it is damaged"
        raise ImageError(message)
    return found


def _sum_right(raw: bytes) -> bool:
    told = int.from_bytes(raw[4:8], "little")
    return crc32c(raw[:4] + bytes(4) + raw[8:]) == told


def _table() -> list[int]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        rows.append(value)
    return rows


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return Castagnoli's checksum, which the standard library does not have."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
