"""Ranges cut, widened and joined lose no byte and give none twice."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from releve.blocks import extents as ext

BLOCK = 64
runs = st.lists(st.tuples(st.integers(1, 5 * BLOCK), st.integers(0, 3)), max_size=12)


def disk_of(drawn: list[tuple[int, int]]) -> tuple[int, list[ext.Extent]]:
    """Return a disk's size and the extents that cover it without gap."""
    extents = []
    position = 0
    for length, flags in drawn:
        extents.append(ext.Extent(position, length, flags))
        position += length
    return position, extents


disks = runs.map(disk_of)


def covered(ranges: list[ext.Range]) -> list[int]:
    """Return every byte of the ranges, in the order they come."""
    return [byte for one in ranges for byte in range(one.offset, one.end)]


@settings(max_examples=60, deadline=None)
@given(disks)
def test_joined_extents_say_the_same_of_each_byte(disk: tuple[int, list[ext.Extent]]) -> None:
    _size, extents = disk

    joined = list(ext.joined(extents))

    def states(of: list[ext.Extent]) -> list[int]:
        return [one.flags for one in of for _byte in range(one.length)]

    assert states(joined) == states(extents)
    assert all(a.flags != b.flags for a, b in itertools.pairwise(joined)), (
        "neighbours of one state were left apart"
    )


@settings(max_examples=60, deadline=None)
@given(disks, st.sampled_from([ext.ALLOCATION, ext.BITMAP + "b"]))
def test_blocks_and_gaps_cover_the_disk_once(
    disk: tuple[int, list[ext.Extent]], context: str
) -> None:
    size, extents = disk

    ranges = list(ext.whole_blocks(ext.wanted(extents, context), size, BLOCK))
    holes = list(ext.gaps(ranges, size))

    assert sorted(covered(ranges) + covered(holes)) == list(range(size))
    assert set(covered(list(ext.wanted(extents, context)))) <= set(covered(ranges))
    assert all(one.offset % BLOCK == 0 for one in ranges)
    assert all(one.end % BLOCK == 0 or one.end == size for one in ranges)


@settings(max_examples=60, deadline=None)
@given(disks, st.integers(min_value=1, max_value=5 * BLOCK))
def test_pieces_keep_every_byte_in_order(disk: tuple[int, list[ext.Extent]], longest: int) -> None:
    ranges = list(ext.wanted(disk[1], ext.ALLOCATION))

    cut = list(ext.pieces(ranges, longest))

    assert covered(cut) == covered(ranges)
    assert all(0 < one.length <= longest for one in cut)


@settings(max_examples=60, deadline=None)
@given(disks, disks)
def test_common_is_the_intersection(
    left: tuple[int, list[ext.Extent]], right: tuple[int, list[ext.Extent]]
) -> None:
    ones = list(ext.wanted(left[1], ext.ALLOCATION))
    others = list(ext.wanted(right[1], ext.ALLOCATION))

    shared = covered(list(ext.common(ones, others)))

    assert shared == sorted(set(covered(ones)) & set(covered(others)))


def test_an_answer_past_the_end_of_the_disk_is_clipped() -> None:
    answer = list(ext.clipped(90, [(5, 0), (1000, 2), (7, 0)], 100))

    assert answer == [ext.Extent(90, 5, 0), ext.Extent(95, 5, 2)]
