"""Hashes of a disk's blocks that its own host computed, one line each.

The list may begin with `releve-hashes 1 SIZE BLOCK`; then come, in any order,

    <sha256 in hex> OFFSET        one block (the last of the disk may be short)
    zero OFFSET LENGTH            a run of whole blocks that are all zeros
    failed OFFSET                 the host could not read this block

Without the first line blocks are those of the manifest. Offsets are bytes, or numbers of blocks
where the caller says so. Only a list that names every block is whole: one that was torn would
leave changed blocks as they were.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from releve.blocks.errors import BlocksError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCRIPT = Path(__file__).with_name("hashes.sh")  # runs on the source's host
FORMAT = "releve-hashes 1"
AREA = 4096  # blocks that share one number in the record of what was named
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class HashesError(BlocksError):
    """A list of hashes is damaged, torn, or of another disk."""

    kind = "hashes"


class Hashed(NamedTuple):
    """A run of bytes and its digest; None for zeros, of any length."""

    offset: int
    length: int
    digest: bytes | None


class Named:
    """Which blocks a list has named; small when they come nearly in order."""

    def __init__(self, count: int) -> None:
        """`count` blocks are to be named."""
        self._count = count
        self._done = 0  # all areas before this one are complete
        self._masks: dict[int, int] = {}

    def add(self, first: int, end: int) -> None:
        """Note blocks as named."""
        while first < end:
            area, place = divmod(first, AREA)
            stop = min(end, (area + 1) * AREA)
            if area >= self._done:
                bits = ((1 << (stop - first)) - 1) << place
                self._masks[area] = self._masks.get(area, 0) | bits
                while self._masks.get(self._done) == (1 << self._blocks(self._done)) - 1:
                    del self._masks[self._done]
                    self._done += 1
            first = stop

    def missing(self) -> int:
        """Return the number of blocks not named."""
        named = min(self._done * AREA, self._count)
        return self._count - named - sum(mask.bit_count() for mask in self._masks.values())

    def _blocks(self, area: int) -> int:
        return max(1, min(AREA, self._count - area * AREA))


class HashList:
    """The lines of a list, checked; `block` is known once the first line was read."""

    def __init__(self, lines: Iterable[str], size: int, block: int, *, unit: int = 1) -> None:
        """`size` and `block` are the manifest's; `unit` is the bytes that an offset counts.

        Raises HashesError when the list is of a disk of another size.
        """
        self._lines = enumerate(lines, 1)
        self._size, self._unit = size, unit
        self.block = block
        self._first = self._next()
        if self._first and self._first[1].startswith(FORMAT):
            self._header(self._first[1], block)
            self._first = self._next()

    def _next(self) -> tuple[int, str] | None:
        for number, line in self._lines:
            if text := line.strip():
                return number, text
        return None

    def _header(self, text: str, block: int) -> None:
        words = text.removeprefix(FORMAT).split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):  # noqa: PLR2004
            message = f"list of hashes: {text!r}: it begins with `{FORMAT} SIZE BLOCK`"
            raise HashesError(message)
        size, self.block = map(int, words)
        if size != self._size:
            message = f"list of hashes: of a disk of {size} bytes, this one has {self._size}"
            raise HashesError(message)
        if not self.block or self.block % block:
            message = (
                f"list of hashes: blocks of {self.block} bytes; the manifest's are of {block},"
                " and a list needs a multiple of that"
            )
            raise HashesError(message)

    def __iter__(self) -> Iterator[Hashed]:
        """Yield every line; raise HashesError at a bad one, and at the end when blocks lack."""
        named = Named(-(-self._size // self.block))
        line = self._first
        while line:
            one = self._parsed(*line)
            named.add(one.offset // self.block, -(-(one.offset + one.length) // self.block))
            yield one
            line = self._next()
        if missing := named.missing():
            message = f"list of hashes: {missing} blocks are not in it; was it torn? make it again"
            raise HashesError(message)

    def _parsed(self, number: int, text: str) -> Hashed:
        words = text.replace(" *", " ").split()  # sha256sum marks a binary file by a star
        if words[0] == "failed":
            message = f"the source's host could not read its disk at {' '.join(words[1:])}"
            raise HashesError(message)
        zeros = words[0] == "zero"
        good = len(words) == (3 if zeros else 2) and all(word.isdecimal() for word in words[1:])
        if not good or not (zeros or _HASH.fullmatch(words[0])):
            message = f"list of hashes, line {number}: {text[:100]!r} is no hash and offset"
            raise HashesError(message)
        offset = int(words[1]) * self._unit
        length = int(words[2]) * self._unit if zeros else self.block
        end = min(offset + length, self._size)
        if offset % self.block or offset >= self._size or (end % self.block and end != self._size):
            message = (
                f"list of hashes, line {number}: {text[:100]!r}: not whole blocks of {self.block}"
                f" bytes of a disk of {self._size}; are its offsets numbers of blocks?"
            )
            raise HashesError(message)
        digest = None if zeros else bytes.fromhex(words[0])
        return Hashed(offset, end - offset, digest)
