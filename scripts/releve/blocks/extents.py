"""Arithmetic of disk ranges: what an NBD server says, cut into whole blocks and reads.

Pure functions; all offsets and lengths are bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALLOCATION = "base:allocation"
BITMAP = "qemu:dirty-bitmap:"
STATE_DIRTY = 1  # of a dirty bitmap context
STATE_ZERO = 2  # of base:allocation: reads as zeros, whatever is allocated


class Extent(NamedTuple):
    """A run of bytes with one state, as the server says it."""

    offset: int
    length: int
    flags: int


class Range(NamedTuple):
    """A run of bytes."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


def clipped(offset: int, entries: Iterable[tuple[int, int]], size: int) -> Iterator[Extent]:
    """Yield the (length, flags) answers to one block status request as extents.

    The protocol lets the last one reach further than was asked, even past the end of the disk.
    """
    for length, flags in entries:
        kept = min(length, size - offset)
        if kept <= 0:
            return
        yield Extent(offset, kept, flags)
        offset += kept


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Merge neighbours of the same state."""
    last: Extent | None = None
    for extent in extents:
        if last and last.flags == extent.flags and last.offset + last.length == extent.offset:
            last = Extent(last.offset, last.length + extent.length, last.flags)
            continue
        if last:
            yield last
        last = extent
    if last:
        yield last


def wanted(extents: Iterable[Extent], context: str) -> Iterator[Range]:
    """Yield what must be read: dirty runs of a bitmap, or runs that do not read as zeros."""
    dirty = context.startswith(BITMAP)
    for offset, length, flags in extents:
        if flags & STATE_DIRTY if dirty else not flags & STATE_ZERO:
            yield Range(offset, length)


def whole_blocks(ranges: Iterable[Range], size: int, block: int) -> Iterator[Range]:
    """Widen ascending ranges to whole blocks (the last one may be short); no block comes twice."""
    start = end = 0
    for one in ranges:
        first = one.offset - one.offset % block
        last = min(-(-one.end // block) * block, size)
        if first > end:
            if end > start:
                yield Range(start, end - start)
            start = first
        end = max(end, last)
    if end > start:
        yield Range(start, end - start)


def gaps(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """Yield what ascending ranges leave out of a disk of `size` bytes."""
    position = 0
    for one in ranges:
        if one.offset > position:
            yield Range(position, one.offset - position)
        position = max(position, one.end)
    if position < size:
        yield Range(position, size - position)


def common(left: Iterable[Range], right: Iterable[Range]) -> Iterator[Range]:
    """Yield what two ascending lists of ranges share."""
    ones, others = iter(left), iter(right)
    one, other = next(ones, None), next(others, None)
    while one and other:
        start, end = max(one.offset, other.offset), min(one.end, other.end)
        if start < end:
            yield Range(start, end - start)
        if one.end <= other.end:
            one = next(ones, None)
        else:
            other = next(others, None)


def pieces(ranges: Iterable[Range], longest: int) -> Iterator[Range]:
    """Cut ranges into reads of at most `longest` bytes."""
    for one in ranges:
        for offset in range(one.offset, one.end, longest):
            yield Range(offset, min(longest, one.end - offset))
