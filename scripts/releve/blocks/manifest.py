"""The manifest: SHA-256 of every block of a disk, in a file that is changed in place.

Layout: 4096 bytes of header (one JSON line, padded with zero bytes), then 32 bytes per block: its
SHA-256, or zero bytes for "not known". Each entry lies within one disk sector, so it is either
old or new after a power cut, never half; and each is true by itself: it is written only after the
block it speaks of is durable on the target, and made unknown, durably, before that block may
change. So a checkpoint costs what changed, not the size of the disk, and needs no memory.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import ManifestError
from releve.blocks.extents import Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from releve.blocks.extents import Extent

FORMAT = "releve manifest 1"
HEADER_BYTES = 4096
DIGEST_BYTES = 32
BLOCK = 65_536  # the granularity of QEMU's bitmaps: a dirty bit never makes us move more
BLOCK_UNIT = 4096  # O_DIRECT wants whole sectors, of 4 KiB at most
BLOCK_MOST = 16 << 20  # a block is read and hashed in one piece of memory
UNKNOWN = bytes(DIGEST_BYTES)
SCAN_ENTRIES = 32_768  # entries handled at a time, 1 MiB


def digest(data: memoryview | bytes) -> bytes:
    """Return the SHA-256 of one block."""
    return hashlib.sha256(data).digest()


@functools.cache
def zero_digest(length: int) -> bytes:
    """Return the SHA-256 of so many zero bytes."""
    return hashlib.sha256(bytes(length)).digest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An open manifest of a disk of `size` bytes in blocks of `block` bytes, made by `run`."""

    path: Path
    size: int
    block: int
    run: str
    descriptor: int

    @classmethod
    def create(cls, path: Path, size: int, *, block: int = BLOCK, run: str = "") -> Manifest:
        """Make a manifest that knows nothing, whole or not at all, in place of any other."""
        if not BLOCK_UNIT <= block <= BLOCK_MOST or block % BLOCK_UNIT:
            message = (
                f"{path}: a block of {block} bytes; it must be a multiple of {BLOCK_UNIT},"
                f" of {BLOCK_MOST} at most"
            )
            raise ManifestError(message)
        header = {"format": FORMAT, "size": size, "block": block, "run": run}
        part = path.with_name(path.name + ".part")
        with part.open("wb") as stream:
            stream.write(json.dumps(header).encode().ljust(HEADER_BYTES - 1, b"\0") + b"\n")
            stream.truncate(HEADER_BYTES + -(-size // block) * DIGEST_BYTES)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        sync_folder(path.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, run: str | None = None) -> Manifest:
        """Open a manifest; raise ManifestError when it is damaged or another run made it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            message = f"{path}: {error.strerror}; the seed makes it"
            raise ManifestError(message) from error
        try:
            header: dict[str, Any] = json.loads(
                os.pread(descriptor, HEADER_BYTES, 0).rstrip(b"\0\n")
            )
            found = cls(path, header["size"], header["block"], header["run"], descriptor)
            whole = os.fstat(descriptor).st_size == HEADER_BYTES + found.count * DIGEST_BYTES
            good = header["format"] == FORMAT and whole
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            good = False
        if not good:
            os.close(descriptor)
            message = f"{path}: not a manifest, or cut short; seed again"
            raise ManifestError(message)
        if run is not None and found.run != run:
            os.close(descriptor)
            message = f"{path}: made by run {found.run!r}, not by {run!r}; it is left alone"
            raise ManifestError(message)
        return found

    @property
    def count(self) -> int:
        """Number of blocks; the last one may be short."""
        return -(-self.size // self.block)

    def differing(self, offset: int, digests: bytes) -> Iterator[Range]:
        """Yield the blocks from `offset` on whose entries are not these digests, one by one."""
        first = offset // self.block
        found = self.entries(first, len(digests) // DIGEST_BYTES)
        if found == digests:
            return
        for place in range(0, len(digests), DIGEST_BYTES):
            end = place + DIGEST_BYTES
            if found[place:end] != digests[place:end]:
                index = first + place // DIGEST_BYTES
                yield Range(index * self.block, self.length(index))

    def not_zeros(self, hole: Range) -> Iterator[Range]:
        """Yield the blocks of a run of whole blocks whose entries are not those of zeros."""
        for offset in range(hole.offset, hole.end, SCAN_ENTRIES * self.block):
            first = offset // self.block
            end = min(first + SCAN_ENTRIES, -(-hole.end // self.block))
            last = zero_digest(self.length(end - 1))
            yield from self.differing(offset, zero_digest(self.block) * (end - first - 1) + last)

    def length(self, index: int) -> int:
        """Return the bytes of a block."""
        return min(self.block, self.size - index * self.block)

    def entries(self, first: int, count: int) -> bytes:
        """Return the digests of `count` blocks from `first` on, 32 bytes each."""
        data = os.pread(self.descriptor, count * DIGEST_BYTES, self._place(first))
        if len(data) != count * DIGEST_BYTES:
            message = f"{self.path}: cut short; seed again"
            raise ManifestError(message)
        return data

    def put(self, first: int, digests: bytes) -> None:
        """Note digests from block `first` on; durable only after `sync`."""
        place = self._place(first)
        for start in range(0, len(digests), SCAN_ENTRIES * DIGEST_BYTES):
            part = digests[start : start + SCAN_ENTRIES * DIGEST_BYTES]
            os.pwrite(self.descriptor, part, place + start)

    def put_zeros(self, ranges: Iterable[Range]) -> None:
        """Note that ranges of whole blocks are zeros; durable only after `sync`."""
        self._fill(ranges, lambda index: zero_digest(self.length(index)))

    def forget(self, ranges: Iterable[Range | Extent]) -> None:
        """Declare blocks unknown, durably: the write intent, before the target changes."""
        self.mark_unknown(ranges)
        self.sync()

    def mark_unknown(self, ranges: Iterable[Range | Extent]) -> None:
        """Declare blocks unknown; durable only after `sync`."""
        self._fill(ranges, lambda _index: UNKNOWN)

    def _fill(self, ranges: Iterable[Range | Extent], entry: Any) -> None:  # noqa: ANN401  # index -> bytes
        for one in ranges:
            first, last = one.offset // self.block, -(-one.end // self.block) - 1
            for start in range(first, last, SCAN_ENTRIES):
                self.put(start, entry(first) * (min(start + SCAN_ENTRIES, last) - start))
            self.put(last, entry(last))

    def unknown(self) -> Iterator[Range]:
        """Yield the ranges of the disk whose blocks are not known, in order."""
        start: int | None = None
        for first in range(0, self.count, SCAN_ENTRIES):
            data = self.entries(first, min(SCAN_ENTRIES, self.count - first))
            if UNKNOWN not in data:  # at 1 GiB/s, where the loop below takes seconds for a TiB
                if start is not None:
                    yield self._range(start, first)
                    start = None
                continue
            if data == bytes(len(data)):
                start = first if start is None else start
                continue
            for place in range(0, len(data), DIGEST_BYTES):
                index = first + place // DIGEST_BYTES
                if data[place : place + DIGEST_BYTES] == UNKNOWN:
                    start = index if start is None else start
                elif start is not None:
                    yield self._range(start, index)
                    start = None
        if start is not None:
            yield self._range(start, self.count)

    def seal(self) -> str:
        """Return the SHA-256 of header and entries, in hex: what a report may quote."""
        total = hashlib.sha256(os.pread(self.descriptor, HEADER_BYTES, 0))
        for first in range(0, self.count, SCAN_ENTRIES):
            total.update(self.entries(first, min(SCAN_ENTRIES, self.count - first)))
        return total.hexdigest()

    def sync(self) -> None:
        """Make all that was put durable."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)

    def _range(self, first: int, end: int) -> Range:
        offset = first * self.block
        return Range(offset, min(end * self.block, self.size) - offset)

    def _place(self, index: int) -> int:
        return HEADER_BYTES + index * DIGEST_BYTES
