"""What crosses the wire between a sender and the vault, version 1: frames, each one bounded.

A frame is one byte of kind, four bytes of length (big endian), then that many bytes. Kinds that
carry words are JSON objects; `B` carries changed blocks, `Z` a run of blocks that hold zeros.
Whoever reads believes nothing: lengths, counts, indexes, order and every block's sha256 are
checked before a byte reaches a disk. The same frames carry a copy to the vault and back.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = 1
BLOCK = 16_384
"""Bytes that are compared, hashed and sent together; only a disk's last block may be shorter."""
BATCH = 64
"""Blocks in one frame at most (1 MiB)."""
MAX_WORDS = 65_536
"""Bytes of a frame of words at most."""
MAX_GUEST = 16_384
"""Bytes, as JSON, of what a sender says of its guest."""
MAX_DISKS = 8
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
"""Names of senders, guests and disks; they become names of folders and files."""
ZERO_DIGEST = hashlib.sha256(bytes(BLOCK)).digest()

HELLO, ANSWER, BLOCKS, ZEROS, END, RESULT, REFUSAL = b"H", b"A", b"B", b"Z", b"E", b"R", b"X"
WORDS = HELLO + ANSWER + END + RESULT + REFUSAL
_HEAD = struct.Struct(">cI")
_BATCH = struct.Struct(">BBB")
_ENTRY = struct.Struct(">Q32s")
_RUN = struct.Struct(">BQQ")
_MAX_BLOCKS = _BATCH.size + BATCH * (_ENTRY.size + BLOCK)


class WireError(Exception):
    """The other side broke the protocol, or the connection was cut."""


class Refusal(Exception):  # noqa: N818  # a word of the protocol, not a fault of ours
    """The other side says no, and why."""


@dataclass(frozen=True, slots=True)
class DiskSize:
    """One disk of a transfer: its name and its bytes."""

    name: str
    size: int

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return -(-self.size // BLOCK)

    def length(self, index: int) -> int:
        """Return how many bytes block `index` has."""
        return min(BLOCK, self.size - index * BLOCK)

    def zero_digest(self, index: int) -> bytes:
        """Return the sha256 of block `index` when it holds zeros only."""
        length = self.length(index)
        return ZERO_DIGEST if length == BLOCK else hashlib.sha256(bytes(length)).digest()


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a disk, its sha256 already checked; `data` None means zeros."""

    disk: int
    index: int
    digest: bytes
    data: bytes | None


@dataclass(slots=True)
class Reader:
    """Reads frames from `read(n)`, which returns at most n bytes and b"" at the end."""

    read: Callable[[int], bytes]
    disks: tuple[DiskSize, ...] = ()
    _next: list[int] = field(default_factory=list)

    def expect(self, disks: tuple[DiskSize, ...]) -> None:
        """From here on, frames of blocks belong to these disks."""
        self.disks = disks
        self._next = [0] * len(disks)

    def exactly(self, count: int) -> bytes:
        """Read `count` bytes; raises WireError when the other side ends before."""
        parts = []
        while count:
            part = self.read(count)
            if not part:
                message = "the connection was cut in the middle of a frame"
                raise WireError(message)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def frame(self, allowed: bytes) -> tuple[bytes, bytes]:
        """Read one frame of an allowed kind; raises Refusal when the other side refuses."""
        kind, length = _HEAD.unpack(self.exactly(_HEAD.size))
        if kind not in allowed + REFUSAL:
            message = f"a frame of kind {kind!r} is not expected here"
            raise WireError(message)
        limit = {BLOCKS: _MAX_BLOCKS, ZEROS: _RUN.size}.get(kind, MAX_WORDS)
        if length > limit:
            message = f"a frame of kind {kind!r} has {length} bytes, more than {limit}"
            raise WireError(message)
        payload = self.exactly(length)
        if kind == REFUSAL:
            raise Refusal(str(words_of(payload).get("reason", "no reason given"))[:500])
        return kind, payload

    def words(self, kind: bytes) -> dict[str, Any]:
        """Read one frame of words of this kind."""
        return words_of(self.frame(kind)[1])

    def changes(self) -> Iterator[Block | dict[str, Any]]:
        """Yield the blocks that come, then the words of the end frame, and stop."""
        while True:
            kind, payload = self.frame(BLOCKS + ZEROS + END)
            if kind == END:
                yield words_of(payload)
                return
            yield from self._blocks(payload) if kind == BLOCKS else self._zeros(payload)

    def _disk(self, number: int, first: int, count: int) -> DiskSize:
        if number >= len(self.disks):
            message = f"there is no disk number {number}"
            raise WireError(message)
        disk = self.disks[number]
        # Only ever forward: no block comes twice, so the work is bounded by the disk's size.
        if count < 1 or first < self._next[number] or first + count > disk.blocks:
            message = f"blocks {first}+{count} of disk {disk.name} are out of order or beyond it"
            raise WireError(message)
        self._next[number] = first + count
        return disk

    def _blocks(self, payload: bytes) -> Iterator[Block]:
        if len(payload) < _BATCH.size:
            message = "a frame of blocks is too short"
            raise WireError(message)
        number, count, packed = _BATCH.unpack_from(payload)
        table = _BATCH.size + count * _ENTRY.size
        if not 1 <= count <= BATCH or packed > 1 or len(payload) < table:
            message = f"a frame of blocks lies about its {count} blocks"
            raise WireError(message)
        data = payload[table:]
        if packed:
            data = _inflate(data, count * BLOCK)
        at = 0
        for position in range(_BATCH.size, table, _ENTRY.size):
            index, digest = _ENTRY.unpack_from(payload, position)
            length = self._disk(number, index, 1).length(index)
            block = data[at : at + length]
            at += length
            if len(block) != length or hashlib.sha256(block).digest() != digest:
                message = f"block {index} of disk {self.disks[number].name} is not what it says"
                raise WireError(message)
            yield Block(number, index, digest, block)
        if at != len(data):
            message = "a frame of blocks has bytes after its blocks"
            raise WireError(message)

    def _zeros(self, payload: bytes) -> Iterator[Block]:
        if len(payload) != _RUN.size:
            message = "a frame of zeros has a wrong length"
            raise WireError(message)
        number, first, count = _RUN.unpack(payload)
        disk = self._disk(number, first, count)
        for index in range(first, first + count):
            yield Block(number, index, disk.zero_digest(index), None)


def words_of(payload: bytes) -> dict[str, Any]:
    """Return the JSON object of a frame of words; raises WireError for anything else."""
    try:
        words = json.loads(payload)
    except (ValueError, RecursionError) as error:
        message = "a frame of words is not JSON"
        raise WireError(message) from error
    if not isinstance(words, dict):
        message = "a frame of words is not a JSON object"
        raise WireError(message)
    return words


def _inflate(data: bytes, limit: int) -> bytes:
    """Unpack at most `limit` bytes: a small frame must not become a huge one."""
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        message = "a frame of blocks cannot be unpacked"
        raise WireError(message) from error
    if len(out) > limit or unpacker.unused_data or not unpacker.eof:
        message = "a frame of blocks unpacks to more, or less, than its blocks"
        raise WireError(message)
    return out


def frame_of_words(kind: bytes, words: dict[str, Any]) -> bytes:
    """Return a frame of words; raises WireError when they are more than the other side takes."""
    payload = json.dumps(words, ensure_ascii=False, sort_keys=True).encode()
    if len(payload) > MAX_WORDS:
        message = f"{len(payload)} bytes of words do not fit in a frame ({MAX_WORDS})"
        raise WireError(message)
    return _HEAD.pack(kind, len(payload)) + payload


def frame_of_blocks(disk: int, blocks: list[tuple[int, bytes, bytes]]) -> bytes:
    """Return a frame of (index, sha256, data), at most BATCH of them; packed when that pays."""
    data = b"".join(block for _index, _digest, block in blocks)
    packed = zlib.compress(data, 1)
    pays = len(packed) < len(data) * 15 // 16
    table = b"".join(_ENTRY.pack(index, digest) for index, digest, _data in blocks)
    payload = _BATCH.pack(disk, len(blocks), int(pays)) + table + (packed if pays else data)
    return _HEAD.pack(BLOCKS, len(payload)) + payload


def frame_of_zeros(disk: int, first: int, count: int) -> bytes:
    """Return a frame that says: `count` blocks from `first` on hold zeros."""
    return _HEAD.pack(ZEROS, _RUN.size) + _RUN.pack(disk, first, count)


@dataclass(slots=True)
class Batch:
    """Gathers blocks of one disk, in ascending order, into frames."""

    disk: int
    size: DiskSize
    _blocks: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    _zeros: tuple[int, int] = (0, 0)

    def add(self, index: int, data: bytes, digest: bytes | None = None) -> Iterator[bytes]:
        """Take one block; yield the frames that are full by it."""
        digest = digest or hashlib.sha256(data).digest()
        if digest == self.size.zero_digest(index):
            yield from self.add_zeros(index, 1)
            return
        if self._zeros[1]:
            yield from self.flush()
        self._blocks.append((index, digest, data))
        if len(self._blocks) == BATCH:
            yield from self.flush()

    def add_zeros(self, first: int, count: int) -> Iterator[bytes]:
        """Take a run of blocks that hold zeros."""
        start, length = self._zeros
        if self._blocks or (length and start + length != first):
            yield from self.flush()
            start, length = first, 0
        self._zeros = (start if length else first, length + count)

    def flush(self) -> Iterator[bytes]:
        """Yield what was gathered and not yet yielded."""
        if self._blocks:
            yield frame_of_blocks(self.disk, self._blocks)
            self._blocks = []
        if self._zeros[1]:
            yield frame_of_zeros(self.disk, *self._zeros)
            self._zeros = (0, 0)


def guest_of(words: Any) -> dict[str, Any]:  # noqa: ANN401  # what JSON gave
    """Return what a sender says of its guest; raises WireError when it is no object, or too big."""
    try:
        fits = isinstance(words, dict) and len(json.dumps(words)) <= MAX_GUEST
    except RecursionError:
        fits = False
    if not fits:
        message = f"what is said of the guest must be an object of {MAX_GUEST} bytes at most"
        raise WireError(message)
    said: dict[str, Any] = words
    return said


def disks_of(words: dict[str, Any], largest: int) -> tuple[DiskSize, ...]:
    """Return the disks that a hello names; raises WireError for a name or a size we refuse."""
    entries = words.get("disks")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_DISKS:
        message = f"a copy has 1 to {MAX_DISKS} disks"
        raise WireError(message)
    disks = []
    for entry in entries:
        name, size = (entry.get("name"), entry.get("size")) if isinstance(entry, dict) else (0, 0)
        if not isinstance(name, str) or not NAME.match(name):
            message = f"a disk's name must match {NAME.pattern}"
            raise WireError(message)
        if type(size) is not int or not 0 < size <= largest or size % 512:
            message = f"disk {name}: its size must be a multiple of 512, at most {largest} bytes"
            raise WireError(message)
        disks.append(DiskSize(name, size))
    if len({disk.name for disk in disks}) != len(disks):
        message = "two disks have the same name"
        raise WireError(message)
    return tuple(disks)
