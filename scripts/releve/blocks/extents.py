"""Arithmetic of disk ranges: what an NBD server says, cut into whole blocks and reads.

Pure functions; all offsets and lengths are bytes. Extents and ranges come and go one at a time,
in ascending order: a disk of many TiB may have millions of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ALLOCATION = "base:allocation"
BITMAP = "qemu:dirty-bitmap:"
STATE_DIRTY = 1  # of a dirty bitmap context
STATE_ZERO = 2  # of base:allocation: reads as zeros, whatever is allocated


class Extent(NamedTuple):
    """A run of bytes of one state: changed since the bitmap began, known to read as zeros."""

    offset: int
    length: int
    dirty: bool = True
    zero: bool = False

    @property
    def end(self) -> int:
        """The first byte after the extent."""
        return self.offset + self.length


class Range(NamedTuple):
    """A run of bytes."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


def _runs(entries: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the (length, flags) pairs of a flat list; an empty run says nothing."""
    for place in range(0, len(entries) - 1, 2):
        if entries[place] > 0:
            yield entries[place], entries[place + 1]


def overlay(offset: int, answers: Mapping[str, Sequence[int]], size: int) -> Iterator[Extent]:
    """Yield what the answers to one block status request say together, from `offset` on.

    `answers` has, for each context, the flat list length, flags, length, flags... The contexts
    may reach differently far: what one of them leaves out is not yielded. The protocol lets the
    last run reach further than was asked, even past the end of the disk: it is cut at `size`.
    Without a bitmap all is dirty; without an allocation nothing is known to be zeros.
    """
    runs = {context: _runs(entries) for context, entries in answers.items()}
    left = dict.fromkeys(runs, 0)
    state = dict.fromkeys(runs, 0)
    bitmaps = [context for context in runs if context.startswith(BITMAP)]
    while offset < size:
        for context, more in runs.items():
            if not left[context]:
                left[context], state[context] = next(more, (0, 0))
        step = min(*left.values(), size - offset)
        if not step:
            return
        dirty = not bitmaps or any(state[one] & STATE_DIRTY for one in bitmaps)
        zero = bool(state.get(ALLOCATION, 0) & STATE_ZERO)
        yield Extent(offset, step, dirty, zero)
        offset += step
        for context in left:
            left[context] -= step


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Merge neighbours of the same state."""
    last: Extent | None = None
    for extent in extents:
        if last and last[2:] == extent[2:] and last.end == extent.offset:
            last = last._replace(length=last.length + extent.length)
            continue
        if last:
            yield last
        last = extent
    if last:
        yield last


def whole_blocks(extents: Iterable[Extent], size: int, block: int) -> Iterator[Extent]:
    """Cut the extents of a whole disk at block borders; the last block may be short.

    A block is dirty when one of its bytes is, and zero when all of them are.
    """
    return joined(_cut(extents, size, block))


def _cut(extents: Iterable[Extent], size: int, block: int) -> Iterator[Extent]:
    edge: Extent | None = None  # a block of which only the first bytes are known yet
    for one in extents:
        start = one.offset
        if edge:
            border = min(edge.offset + block, size)
            start = min(one.end, border)
            edge = Extent(
                edge.offset, start - edge.offset, edge.dirty or one.dirty, edge.zero and one.zero
            )
            if start < border:
                continue
            yield edge
            edge = None
        border = one.end if one.end == size else one.end - one.end % block
        if border > start:
            yield one._replace(offset=start, length=border - start)
            start = border
        if start < one.end:
            edge = one._replace(offset=start, length=one.end - start)


def common(left: Iterable[Extent], right: Iterable[Range | Extent]) -> Iterator[Extent]:
    """Yield what two ascending runs share, in the state of the left one."""
    ones, others = iter(left), iter(right)
    one, other = next(ones, None), next(others, None)
    while one and other:
        start, end = max(one.offset, other.offset), min(one.end, other.end)
        if start < end:
            yield one._replace(offset=start, length=end - start)
        if one.end <= other.end:
            one = next(ones, None)
        else:
            other = next(others, None)


def filled(ranges: Iterable[Range], size: int) -> Iterator[Extent]:
    """Yield a whole disk of `size` bytes: the ranges as data, what they leave out as zeros."""
    position = 0
    for one in ranges:
        if one.offset > position:
            yield Extent(position, one.offset - position, zero=True)
        if one.length:
            yield Extent(one.offset, one.length)
        position = max(position, one.end)
    if position < size:
        yield Extent(position, size - position, zero=True)


def pieces(ranges: Iterable[Range | Extent], longest: int) -> Iterator[Range]:
    """Cut ranges into pieces of at most `longest` bytes."""
    for one in ranges:
        for offset in range(one.offset, one.end, longest):
            yield Range(offset, min(longest, one.end - offset))
