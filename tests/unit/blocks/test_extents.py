"""Extents laid over each other, cut at blocks and spooled lose no byte and give none twice."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from releve.blocks import extents as ext
from releve.blocks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = 64
DIRTY = ext.BITMAP + "b"
answers = st.lists(st.tuples(st.integers(0, 5 * BLOCK), st.integers(0, 3)), max_size=12)


def disk_of(drawn: list[tuple[int, bool, bool]]) -> list[ext.Extent]:
    extents = []
    position = 0
    for length, dirty, zero in drawn:
        extents.append(ext.Extent(position, length, dirty, zero))
        position += length
    return extents


disks = st.lists(
    st.tuples(st.integers(1, 5 * BLOCK), st.booleans(), st.booleans()), max_size=12
).map(disk_of)


def size_of(disk: list[ext.Extent]) -> int:
    return sum(one.length for one in disk)


def states(extents: Iterable[ext.Extent]) -> list[tuple[bool, bool]]:
    """Return (dirty, zero) of every byte; the extents must follow each other."""
    found: list[tuple[bool, bool]] = []
    for one in extents:
        assert one.offset == len(found), "a gap or an overlap"
        found += [(one.dirty, one.zero)] * one.length
    return found


def covered(ranges: Iterable[ext.Range | ext.Extent]) -> list[int]:
    return [byte for one in ranges for byte in range(one.offset, one.end)]


@settings(max_examples=80, deadline=None)
@given(answers, answers, st.integers(0, 20 * BLOCK))
def test_contexts_are_laid_over_each_other_as_far_as_all_reach(
    bitmap: list[tuple[int, int]], allocation: list[tuple[int, int]], size: int
) -> None:
    def flat(entries: list[tuple[int, int]]) -> list[int]:
        return [number for entry in entries for number in entry]

    def bits(entries: list[tuple[int, int]], bit: int) -> list[bool]:
        return [bool(flags & bit) for length, flags in entries for _byte in range(length)]

    said = {DIRTY: flat(bitmap), ext.ALLOCATION: flat(allocation)}
    found = states(ext.overlay(0, said, size))

    dirty, zero = bits(bitmap, ext.STATE_DIRTY), bits(allocation, ext.STATE_ZERO)
    assert found == list(zip(dirty, zero, strict=False))[:size]


def test_without_a_bitmap_all_is_dirty_and_without_an_allocation_all_is_data() -> None:
    assert list(ext.overlay(10, {ext.ALLOCATION: [5, 2, 5, 0]}, 99)) == [
        ext.Extent(10, 5, dirty=True, zero=True),
        ext.Extent(15, 5, dirty=True, zero=False),
    ]
    assert list(ext.overlay(0, {DIRTY: [5, 0]}, 99)) == [ext.Extent(0, 5, dirty=False, zero=False)]


@settings(max_examples=80, deadline=None)
@given(disks)
def test_joined_extents_say_the_same_of_each_byte(disk: list[ext.Extent]) -> None:
    joined = list(ext.joined(disk))

    assert states(joined) == states(disk)
    assert all(a[2:] != b[2:] for a, b in itertools.pairwise(joined)), "neighbours left apart"


@settings(max_examples=150, deadline=None)
@given(disks)
def test_a_block_is_dirty_when_a_byte_is_and_zero_when_all_are(disk: list[ext.Extent]) -> None:
    size, bytes_ = size_of(disk), states(disk)

    found = list(ext.whole_blocks(disk, size, BLOCK))

    after = states(found)
    assert len(after) == size
    for start in range(0, size, BLOCK):
        block = bytes_[start : start + BLOCK]
        expected = (any(dirty for dirty, _ in block), all(zero for _, zero in block))
        assert set(after[start : start + BLOCK]) == {expected}


@settings(max_examples=60, deadline=None)
@given(disks, st.integers(min_value=1, max_value=5 * BLOCK))
def test_pieces_keep_every_byte_in_order(disk: list[ext.Extent], longest: int) -> None:
    cut = list(ext.pieces(disk, longest))

    assert covered(cut) == covered(disk)
    assert all(0 < one.length <= longest for one in cut)


@settings(max_examples=80, deadline=None)
@given(disks, disks)
def test_common_is_the_intersection_in_the_state_of_the_left(
    left: list[ext.Extent], right: list[ext.Extent]
) -> None:
    others = [ext.Range(one.offset, one.length) for one in right if one.dirty]

    shared = list(ext.common(left, others))

    assert covered(shared) == sorted(set(covered(left)) & set(covered(others)))
    before = states(left)
    assert all(before[one.offset] == (one.dirty, one.zero) for one in shared)


@settings(max_examples=80, deadline=None)
@given(disks)
def test_what_ranges_leave_out_is_zeros(disk: list[ext.Extent]) -> None:
    data = [ext.Range(one.offset, one.length) for one in disk if not one.zero]

    found = states(ext.filled(data, size_of(disk)))

    assert [zero for _, zero in found] == [zero for _, zero in states(disk)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.booleans())))
def test_a_spool_gives_back_what_it_got_as_often_as_wanted(
    drawn: list[tuple[int, int, bool]],
) -> None:
    extents = [ext.Extent(offset, length, zero=zero) for offset, length, zero in drawn]
    with TemporaryDirectory() as folder, Spool(Path(folder)) as spool:
        spool.fill(extents)

        assert list(spool) == extents
        assert list(spool) == extents
        assert spool.zeros == sum(one.length for one in extents if one.zero)
        assert spool.data == sum(one.length for one in extents if not one.zero)
        assert not list(Path(folder).iterdir()), "it has a name that a crash would leave behind"
