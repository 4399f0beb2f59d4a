"""The protocol believes nothing: short, huge, lying and cut streams are refused."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.vault.wire import (
    BATCH,
    BLOCK,
    BLOCKS,
    END,
    HELLO,
    REFUSAL,
    ZEROS,
    Batch,
    Block,
    DiskSize,
    Reader,
    Refusal,
    WireError,
    disks_of,
    frame_of_blocks,
    frame_of_words,
    frame_of_zeros,
    guest_of,
)

DISK = DiskSize("vda", 10 * BLOCK + 512)


def reader(data: bytes, *disks: DiskSize) -> Reader:
    """Return a reader of these bytes."""
    made = Reader(io.BytesIO(data).read)
    made.expect(disks or (DISK,))
    return made


def head(kind: bytes, length: int) -> bytes:
    """Return a frame's head."""
    return struct.pack(">cI", kind, length)


def entry(index: int, data: bytes) -> tuple[int, bytes, bytes]:
    """Return a block as `frame_of_blocks` takes it."""
    return index, hashlib.sha256(data).digest(), data


def test_blocks_and_zeros_come_back_as_they_were() -> None:
    data = [bytes([n]) * DISK.length(n) for n in range(DISK.blocks)]
    data[3] = data[4] = bytes(BLOCK)
    batch = Batch(0, DISK)
    frames = [f for n in range(DISK.blocks) for f in batch.add(n, data[n])] + list(batch.flush())
    stream = b"".join([*frames, frame_of_words(END, {"roots": ["x"]})])
    *blocks, end = reader(stream).changes()
    assert end == {"roots": ["x"]}
    assert [b.index for b in blocks if isinstance(b, Block)] == list(range(DISK.blocks))
    for block in blocks:
        assert isinstance(block, Block)
        assert (block.data or bytes(DISK.length(block.index))) == data[block.index]
        assert block.digest == hashlib.sha256(data[block.index]).digest()


def test_a_cut_at_any_byte_is_an_error() -> None:
    stream = frame_of_blocks(0, [entry(1, b"a" * BLOCK)]) + frame_of_words(END, {"roots": []})
    assert len(list(reader(stream).changes())) == 2
    for length in [*range(0, len(stream) - 1, 7), len(stream) - 1]:
        with pytest.raises(WireError):
            list(reader(stream[:length]).changes())


@pytest.mark.parametrize("kind", [HELLO, BLOCKS, ZEROS, END, REFUSAL])
def test_a_huge_frame_is_refused_before_it_is_read(kind: bytes) -> None:
    with pytest.raises(WireError, match="more than"):
        reader(head(kind, 0xFFFFFFFF)).frame(kind)


def test_an_unexpected_kind_is_refused() -> None:
    with pytest.raises(WireError, match="not expected"):
        list(reader(frame_of_words(HELLO, {})).changes())


LIES = {
    "digest": frame_of_blocks(0, [(1, bytes(32), b"a" * BLOCK)]),
    "beyond": frame_of_blocks(0, [entry(DISK.blocks, b"a" * BLOCK)]),
    "short block": frame_of_blocks(0, [entry(1, b"a" * 512)]),
    "long last block": frame_of_blocks(0, [entry(10, b"a" * BLOCK)]),
    "no such disk": frame_of_blocks(1, [entry(1, b"a" * BLOCK)]),
    "twice": frame_of_blocks(0, [entry(1, b"a" * BLOCK)]) * 2,
    "backwards": frame_of_blocks(0, [entry(2, b"a" * BLOCK), entry(1, b"a" * BLOCK)]),
    "zeros beyond": frame_of_zeros(0, 1, 11),
    "no zeros": frame_of_zeros(0, 1, 0),
    "zeros wrap": frame_of_zeros(0, 2**64 - 1, 2),
    "zeros backwards": frame_of_zeros(0, 4, 2) + frame_of_zeros(0, 5, 1),
    "zeros length": head(ZEROS, 3) + b"abc",
    "no blocks": head(BLOCKS, 3) + bytes(3),
    "count": head(BLOCKS, 3) + bytes([0, BATCH + 1, 0]),
    "flag": head(BLOCKS, 3) + bytes([0, 1, 2]),
    "trailing": head(BLOCKS, 43 + BLOCK + 1)
    + bytes([0, 1, 0])
    + struct.pack(">Q32s", 0, hashlib.sha256(b"a" * BLOCK).digest())
    + b"a" * (BLOCK + 1),
    "end": head(END, 2) + b"[]",
    "no json": head(END, 4) + b"\xff\xfe{}",
    "deep json": head(END, 60_000) + b"[" * 60_000,
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_refused(name: str) -> None:
    with pytest.raises(WireError):
        list(reader(LIES[name] + frame_of_words(END, {})).changes())


def test_a_small_frame_cannot_unpack_to_a_huge_one() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    table = struct.pack(">Q32s", 0, bytes(32))
    payload = bytes([0, 1, 1]) + table + bomb
    with pytest.raises(WireError, match="unpacks to more"):
        list(reader(head(BLOCKS, len(payload)) + payload).changes())


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_noise_does_more_than_raise_a_wire_error(noise: bytes) -> None:
    with pytest.raises((WireError, Refusal)):
        list(reader(noise).changes())


@given(st.binary(min_size=1, max_size=200), st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_no_damage_to_a_good_stream_passes_as_other_data(noise: bytes, at: int) -> None:
    good = frame_of_blocks(0, [entry(1, b"ab" * (BLOCK // 2))]) + frame_of_words(END, {"roots": []})
    damaged = good[:at] + noise + good[at + len(noise) :]
    try:
        items = list(reader(damaged).changes())
    except (WireError, Refusal):
        return
    for item in items:
        if isinstance(item, Block):
            assert hashlib.sha256(item.data or bytes(BLOCK)).digest() == item.digest


def test_a_refusal_carries_its_reason() -> None:
    with pytest.raises(Refusal, match="no room"):
        reader(frame_of_words(REFUSAL, {"reason": "no room"})).words(END)


GOOD = {"name": "vda", "size": 1 << 20}


@pytest.mark.parametrize(
    "disks",
    [
        None,
        [],
        [GOOD, GOOD],
        [dict(GOOD, name=f"d{n}") for n in range(9)],
        ["vda"],
        *(
            [dict(GOOD, name=name)]
            for name in ("", "../x", "a/b", "-rf", "a" * 33, "VDA", "a\n", 7)
        ),
        *([dict(GOOD, size=size)] for size in (0, -512, 511, 1 << 31, 512.0, True, "512")),
    ],
)
def test_disks_that_are_none_are_refused(disks: object) -> None:
    with pytest.raises(WireError):
        disks_of({"disks": disks}, 1 << 30)
    assert disks_of({"disks": [GOOD]}, 1 << 30) == (DiskSize("vda", 1 << 20),)


@pytest.mark.parametrize("words", [None, [], "x", {"a": "x" * 20_000}])
def test_what_is_said_of_a_guest_is_bounded(words: object) -> None:
    with pytest.raises(WireError):
        guest_of(words)
    assert guest_of({"a": 1}) == {"a": 1}


def test_words_that_do_not_fit_are_not_sent() -> None:
    with pytest.raises(WireError, match="do not fit"):
        frame_of_words(END, {"a": "x" * 70_000})
    assert json.loads(frame_of_words(END, {"a": 1})[5:]) == {"a": 1}
