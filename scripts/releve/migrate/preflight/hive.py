"""Just enough of a Windows registry hive to read a key's numbers and subkeys; read-only."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.preflight.reader import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASE = 4096  # cells are counted from here
NO_CELL = 0xFFFFFFFF
ASCII_NAME = 0x20
IN_PLACE = 0x80000000
DWORD = 4
MOST_CELL = 1 << 20
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Key:
    """One key: where its subkeys and values are listed, and how many."""

    name: str
    subkeys: int
    children: int
    values: int
    listed: int


class Hive:
    """A hive whose bytes are given by `read(offset, length)`."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        """Read the head; raises ReadError when it is none of a hive."""
        self._read = read
        head = read(0, 48)
        if head[:4] != b"regf":
            message = "no registry begins there"
            raise ReadError(message)
        self.root = self._key(struct.unpack_from("<I", head, 36)[0])

    def find(self, path: str) -> Key | None:
        """Return a key by its path below the root; None when it is not there."""
        key = self.root
        for name in path.split("\\"):
            below = next((one for one in self.below(key) if one.name.lower() == name.lower()), None)
            if below is None:
                return None
            key = below
        return key

    def below(self, key: Key) -> Iterator[Key]:
        """Yield the subkeys of a key."""
        if key.subkeys and key.children != NO_CELL:
            for at in self._offsets(key.children, 0):
                yield self._key(at)

    def number(self, key: Key, name: str) -> int | None:
        """Return a value that is a number; None when it is not there."""
        found = self._value(key, name)
        if found is None:
            return None
        kind, data = found
        return struct.unpack("<I", data[:4])[0] if kind == DWORD and len(data) >= 4 else None  # noqa: PLR2004

    def text(self, key: Key, name: str) -> str | None:
        """Return a value that is a text."""
        found = self._value(key, name)
        return None if found is None else found[1].decode("utf-16-le", "replace").rstrip("\0")

    def _cell(self, at: int) -> bytes:
        (size,) = struct.unpack("<i", self._read(BASE + at, 4))
        if not 4 < abs(size) <= MOST_CELL:  # noqa: PLR2004  # its own size is in it
            message = f"a cell of {size} bytes is none"
            raise ReadError(message)
        return self._read(BASE + at + 4, abs(size) - 4)

    def _key(self, at: int) -> Key:
        cell = self._cell(at)
        if cell[:2] != b"nk" or len(cell) < 76:  # noqa: PLR2004  # a key's fixed part
            message = "no key where one should be"
            raise ReadError(message)
        (flags,) = struct.unpack_from("<H", cell, 2)
        subkeys, _volatile, children = struct.unpack_from("<III", cell, 20)
        values, listed = struct.unpack_from("<II", cell, 36)
        (length,) = struct.unpack_from("<H", cell, 72)
        raw = cell[76 : 76 + length]
        name = raw.decode("latin-1") if flags & ASCII_NAME else raw.decode("utf-16-le", "replace")
        return Key(name, subkeys, children, values, listed)

    def _offsets(self, at: int, depth: int) -> Iterator[int]:
        cell = self._cell(at)
        kind, (count,) = cell[:2], struct.unpack_from("<H", cell, 2)
        step = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind)
        if step is None or depth > DEEPEST or 4 + count * step > len(cell):
            message = "a list of keys cannot be read"
            raise ReadError(message)
        for number in range(count):
            (offset,) = struct.unpack_from("<I", cell, 4 + number * step)
            if kind == b"ri":
                yield from self._offsets(offset, depth + 1)
            else:
                yield offset

    def _value(self, key: Key, name: str) -> tuple[int, bytes] | None:
        if not key.values or key.listed == NO_CELL:
            return None
        cell = self._cell(key.listed)
        for number in range(min(key.values, len(cell) // 4)):
            value = self._cell(struct.unpack_from("<I", cell, 4 * number)[0])
            length, size, at, kind, flags = struct.unpack_from("<HIIIH", value, 2)
            raw = value[20 : 20 + length]
            said = raw.decode("latin-1") if flags & 1 else raw.decode("utf-16-le", "replace")
            if said.lower() != name.lower():
                continue
            if size & IN_PLACE:
                return kind, value[8 : 8 + min(size & ~IN_PLACE, 4)]
            return kind, self._cell(at)[:size]
        return None
