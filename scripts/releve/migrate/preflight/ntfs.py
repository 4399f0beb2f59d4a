"""Just enough of NTFS to find a file by its path and read a part of it; read-only.

Every number that is read is checked before it is used: the disk may be anything.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.preflight.reader import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.preflight.reader import Reader

OEM = b"NTFS    "
MFT, VOLUME, ROOT = 0, 3, 5
ATTRIBUTE_LIST, VOLUME_INFORMATION, DATA = 0x20, 0x70, 0x80
INDEX_ROOT, INDEX_ALLOCATION, END = 0x90, 0xA0, 0xFFFFFFFF
DIRTY = 0x0001
SUBNODE, LAST = 1, 2
SECTOR = 512
MOST_STEPS = 64  # levels of a directory's tree, and extents of one attribute's list
LARGEST_RECORD = 65_536


@dataclass(frozen=True, slots=True)
class Content:
    """An attribute: its bytes when they lie in the record, else runs of (cluster, count)."""

    size: int
    data: bytes | None
    runs: tuple[tuple[int | None, int], ...] = ()


class Ntfs:
    """A volume that begins at `start` of a disk."""

    def __init__(self, reader: Reader, start: int) -> None:
        """Read the boot sector; raises ReadError when it is none of NTFS."""
        self._reader, self._start = reader, start
        boot = reader.read(start, SECTOR)
        if boot[3:11] != OEM:
            message = "no NTFS begins there"
            raise ReadError(message)
        (sector,) = struct.unpack_from("<H", boot, 11)
        (factor,) = struct.unpack_from("<b", boot, 13)
        self._cluster = sector * (factor if factor > 0 else 1 << -factor)
        if sector not in {512, 1024, 2048, 4096} or not 0 < self._cluster <= 1 << 21:
            message = f"an NTFS with sectors of {sector} bytes is not one"
            raise ReadError(message)
        (mft,) = struct.unpack_from("<Q", boot, 48)
        self._record = self._unit(struct.unpack_from("<b", boot, 64)[0])
        self._index = self._unit(struct.unpack_from("<b", boot, 68)[0])
        first = self._fixed(reader.read(start + mft * self._cluster, self._record), b"FILE")
        self._mft = self._attribute(first, DATA)

    def _unit(self, code: int) -> int:
        size = code * self._cluster if code > 0 else 1 << -code
        if not SECTOR <= size <= LARGEST_RECORD:
            message = f"an NTFS with records of {size} bytes is not one"
            raise ReadError(message)
        return size

    @property
    def dirty(self) -> bool:
        """Whether Windows marked the volume to be checked at its next start."""
        content = self._attribute(self._record_of(VOLUME), VOLUME_INFORMATION)
        data = self.part(content, 0, 12)
        return bool(struct.unpack_from("<H", data, 10)[0] & DIRTY)

    def find(self, path: str) -> Content | None:
        """Return the data of a file, such as `Windows/System32`; None when it is not there."""
        number: int | None = ROOT
        for name in path.split("/"):
            if number is None:
                return None
            number = self._entry(number, name)
        if number is None:
            return None
        record = self._record_of(number)
        try:
            return self._attribute(record, DATA)
        except ReadError:
            return Content(0, b"")  # a folder has no data

    def part(self, content: Content, offset: int, length: int) -> bytes:
        """Return a part of a file; raises ReadError when it is shorter."""
        if offset + length > content.size or offset < 0:
            message = f"{offset + length} is after the end of a file of {content.size} bytes"
            raise ReadError(message)
        if content.data is not None:
            return content.data[offset : offset + length]
        parts, at = [], 0
        for cluster, count in content.runs:
            span = count * self._cluster
            low, high = max(offset, at), min(offset + length, at + span)
            if low < high:
                parts.append(
                    bytes(high - low)
                    if cluster is None
                    else self._reader.read(
                        self._start + cluster * self._cluster + low - at, high - low
                    )
                )
            at += span
        data = b"".join(parts)
        if len(data) != length:
            message = "a file's runs are shorter than the file"
            raise ReadError(message)
        return data

    def _record_of(self, number: int) -> bytes:
        data = self.part(self._mft, number * self._record, self._record)
        return self._fixed(data, b"FILE")

    def _fixed(self, data: bytes, magic: bytes) -> bytes:
        """Return a record with the last two bytes of each sector put back; checks them."""
        if data[:4] != magic:
            message = f"no {magic.decode()} record where one should be"
            raise ReadError(message)
        at, count = struct.unpack_from("<HH", data, 4)
        if count == 0 or at + 2 * count > len(data) or (count - 1) * SECTOR > len(data):
            message = "a record's check words are outside of it"
            raise ReadError(message)
        fixed = bytearray(data)
        for number in range(1, count):
            end = number * SECTOR - 2
            if data[end : end + 2] != data[at : at + 2]:
                message = "a record was torn while it was written"
                raise ReadError(message)
            fixed[end : end + 2] = data[at + 2 * number : at + 2 * number + 2]
        return bytes(fixed)

    def _attributes(self, record: bytes) -> Iterator[tuple[int, bytes]]:
        (at,) = struct.unpack_from("<H", record, 20)
        while at + 8 <= len(record):
            kind, length = struct.unpack_from("<II", record, at)
            if kind == END:
                return
            if length < 16 or at + length > len(record):  # noqa: PLR2004  # the least header
                message = "an attribute is longer than its record"
                raise ReadError(message)
            yield kind, record[at : at + length]
            at += length

    def _attribute(self, record: bytes, wanted: int) -> Content:
        """Return an attribute without a name, or a directory's; raises ReadError without it."""
        elsewhere: Content | None = None
        found: list[bytes] = []
        for kind, attribute in self._attributes(record):
            named = attribute[9] != 0 and wanted == DATA
            if kind == wanted and not named:
                found.append(attribute)
            if kind == ATTRIBUTE_LIST:
                elsewhere = self._content([attribute])
        if elsewhere is not None:
            found = list(self._listed(elsewhere, wanted)) or found
        if not found:
            message = f"a record has no attribute {wanted:#x}"
            raise ReadError(message)
        return self._content(found)

    def _listed(self, entries: Content, wanted: int) -> Iterator[bytes]:
        """Yield the pieces of an attribute that lie in other records."""
        data, at, numbers = self.part(entries, 0, entries.size), 0, dict[int, None]()
        while at + 26 <= len(data):
            kind, length, name = struct.unpack_from("<IHB", data, at)
            (number,) = struct.unpack_from("<Q", data, at + 16)
            if kind == wanted and not (wanted == DATA and name):
                numbers[number & 0xFFFFFFFFFFFF] = None
            at += max(length, 26)
        for number in list(numbers)[:MOST_STEPS]:
            for kind, attribute in self._attributes(self._record_of(number)):
                if kind == wanted and not (wanted == DATA and attribute[9]):
                    yield attribute

    def _content(self, attributes: list[bytes]) -> Content:
        first = attributes[0]
        if first[8] == 0:
            size, at = struct.unpack_from("<IH", first, 16)
            return Content(size, first[at : at + size])
        (size,) = struct.unpack_from("<Q", first, 48)
        runs: list[tuple[int | None, int]] = []
        for attribute in attributes:
            (at,) = struct.unpack_from("<H", attribute, 32)
            runs += runs_of(attribute[at:])
        return Content(size, None, tuple(runs))

    def _entry(self, folder: int, name: str) -> int | None:
        """Return the number of a file in a folder, by descending the folder's tree."""
        record = self._record_of(folder)
        root = self._attribute(record, INDEX_ROOT)
        node, wanted = self.part(root, 0, root.size)[16:], name.upper()
        tree: Content | None = None
        for _level in range(MOST_STEPS):
            number, below = search(node, wanted)
            if number is not None or below is None:
                return number
            tree = tree or self._attribute(record, INDEX_ALLOCATION)
            unit = self._cluster if self._cluster <= self._index else SECTOR
            block = self.part(tree, below * unit, self._index)
            node = self._fixed(block, b"INDX")[24:]
        message = f"the folder of {name} has no end"
        raise ReadError(message)


def search(node: bytes, wanted: str) -> tuple[int | None, int | None]:
    """Return the file of that name (upper case), or the node below in which it would be."""
    if len(node) < 8:  # noqa: PLR2004  # the node's header
        message = "a folder's node is cut off"
        raise ReadError(message)
    at, end = struct.unpack_from("<II", node)
    while at + 16 <= min(end, len(node)):
        number, length, key, flags = struct.unpack_from("<QHHH", node, at)
        if length < 16 or at + length > len(node):  # noqa: PLR2004  # an entry's header
            break
        below = struct.unpack_from("<Q", node, at + length - 8)[0] if flags & SUBNODE else None
        if flags & LAST:
            return None, below
        name = node[at + 16 : at + 16 + key]
        text = name[66 : 66 + 2 * name[64]].decode("utf-16-le", "replace").upper()
        if text == wanted:
            return number & 0xFFFFFFFFFFFF, None
        if wanted < text:
            return None, below
        at += length
    message = "a folder's node is cut off"
    raise ReadError(message)


def runs_of(data: bytes) -> list[tuple[int | None, int]]:
    """Return (first cluster, count) of each run; no cluster for one that holds zeros."""
    runs: list[tuple[int | None, int]] = []
    at, cluster = 0, 0
    while at < len(data) and data[at]:
        width, shift = data[at] & 15, data[at] >> 4
        count = int.from_bytes(data[at + 1 : at + 1 + width], "little")
        step = data[at + 1 + width : at + 1 + width + shift]
        if not 0 < width <= 8 or shift > 8 or len(step) != shift or count == 0:  # noqa: PLR2004
            message = "a file's runs cannot be read"
            raise ReadError(message)
        cluster += int.from_bytes(step, "little", signed=True)
        runs.append((cluster if shift else None, count))
        at += 1 + width + shift
    return runs
