"""Partition tables of a disk: where each partition begins, and whether Windows scattered it."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.preflight.reader import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.preflight.reader import Reader

SECTOR = 512
SIGNATURE = b"\x55\xaa"
PROTECTIVE, DYNAMIC = 0xEE, 0x42
EXTENDED = {0x05, 0x0F, 0x85}
MOST = 128
SCATTERED = {
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "dynamic disk",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "dynamic disk",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Storage Spaces",
}


@dataclass(frozen=True, slots=True)
class Partition:
    """Where it begins, in bytes; `dynamic` names what scatters its volumes over several disks."""

    start: int
    dynamic: str = ""


def table_of(reader: Reader) -> tuple[str, list[Partition]]:
    """Return the kind of the table (gpt, mbr, "" for none) and its partitions.

    A disk without a table is one partition. Raises ReadError for a table that leads outside.
    """
    head = reader.read(0, SECTOR)
    if head[510:512] != SIGNATURE or _is_volume(head):
        return "", [Partition(0)]
    rows = list(_rows(head))
    if any(kind == PROTECTIVE for kind, _start in rows):
        return "gpt", list(_gpt(reader))
    if any(kind == DYNAMIC for kind, _start in rows):
        return "mbr", [Partition(start, "dynamic disk") for kind, start in rows]
    found = [Partition(start) for kind, start in rows if kind not in EXTENDED]
    for kind, start in rows:
        if kind in EXTENDED:
            found += _logical(reader, start)
    return "mbr", found


def _is_volume(head: bytes) -> bool:
    """Whether a file system begins at once; its boot sector has the same signature as a table."""
    return head[3:11] in {b"NTFS    ", b"-FVE-FS-", b"MSDOS5.0", b"mkfs.fat"}


def _rows(sector: bytes) -> Iterator[tuple[int, int]]:
    for number in range(4):
        row = sector[446 + 16 * number : 462 + 16 * number]
        (start,) = struct.unpack_from("<I", row, 8)
        if row[4]:
            yield row[4], start * SECTOR


def _logical(reader: Reader, begin: int) -> Iterator[Partition]:
    at = begin
    for _number in range(MOST):
        sector = reader.read(at, SECTOR)
        if sector[510:512] != SIGNATURE:
            return
        rows = list(_rows(sector))
        following = None
        for kind, start in rows:
            if kind in EXTENDED:
                following = begin + start
            else:
                yield Partition(at + start)
        if following is None or following <= at:
            return
        at = following


def _gpt(reader: Reader) -> Iterator[Partition]:
    for sector in (SECTOR, 4096):
        head = reader.read(sector, 92)
        if head[:8] == b"EFI PART":
            break
    else:
        message = "a GPT without its header"
        raise ReadError(message)
    (entries,) = struct.unpack_from("<Q", head, 72)
    count, size = struct.unpack_from("<II", head, 80)
    if not 128 <= size <= 4096 or count > 8 * MOST:  # noqa: PLR2004  # as the format has it
        message = f"a GPT with {count} entries of {size} bytes"
        raise ReadError(message)
    table = reader.read(entries * sector, min(count, MOST) * size)
    for at in range(0, len(table), size):
        kind = str(uuid.UUID(bytes_le=table[at : at + 16]))
        (start,) = struct.unpack_from("<Q", table, at + 32)
        if kind != str(uuid.UUID(int=0)):
            yield Partition(start * sector, SCATTERED.get(kind, ""))
