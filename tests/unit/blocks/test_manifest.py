"""The manifest says of each block what was put last, and nothing it cannot know."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.blocks.errors import ManifestError
from releve.blocks.extents import Range
from releve.blocks.manifest import DIGEST_BYTES, UNKNOWN, Manifest, digest, zero_digest

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 4096
COUNT = 50
SIZE = COUNT * BLOCK - 512

runs = st.tuples(st.integers(0, COUNT - 1), st.integers(1, COUNT)).map(
    lambda pair: (pair[0], min(pair[1], COUNT - pair[0]))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "zeros", "forget"]), runs), max_size=12))
def test_a_reopened_manifest_holds_what_was_put_last(
    steps: list[tuple[str, tuple[int, int]]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vda.manifest"
        manifest = Manifest.create(path, SIZE, block=BLOCK, run="r1")
        model = [UNKNOWN] * COUNT
        for number, (step, (first, count)) in enumerate(steps):
            end = min((first + count) * BLOCK, SIZE)
            ranges = [Range(first * BLOCK, end - first * BLOCK)]
            new = {
                "put": [digest(bytes([number, index])) for index in range(count)],
                "zeros": [zero_digest(manifest.length(first + n)) for n in range(count)],
                "forget": [UNKNOWN] * count,
            }[step]
            model[first : first + count] = new
            if step == "put":
                manifest.put(first, b"".join(new))
            elif step == "zeros":
                manifest.put_zeros(ranges)
            else:
                manifest.forget(ranges)
        manifest.close()

        again = Manifest.open(path, run="r1")
        found = again.entries(0, COUNT)
        missing = [
            i for one in again.unknown() for i in range(one.offset // BLOCK, -(-one.end // BLOCK))
        ]
        again.close()

    assert [found[n : n + DIGEST_BYTES] for n in range(0, len(found), DIGEST_BYTES)] == model
    assert missing == [index for index, entry in enumerate(model) if entry == UNKNOWN]


def test_zeros_of_a_short_last_block_have_their_own_digest(tmp_path: Path) -> None:
    manifest = Manifest.create(tmp_path / "m", SIZE, block=BLOCK)

    manifest.put_zeros([Range(0, SIZE)])

    assert manifest.entries(COUNT - 1, 1) == hashlib.sha256(bytes(BLOCK - 512)).digest()
    assert manifest.entries(0, 1) == hashlib.sha256(bytes(BLOCK)).digest()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cut short"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "not a manifest"),
        (lambda path: path.unlink(), "the seed makes it"),
        (lambda _path: None, "made by run 'theirs'"),
    ],
    ids=["cut", "overwritten", "missing", "foreign"],
)
def test_a_manifest_that_cannot_be_believed_is_refused(
    tmp_path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "m"
    Manifest.create(path, SIZE, block=BLOCK, run="theirs").close()
    harm(path)

    with pytest.raises(ManifestError, match=reason):
        Manifest.open(path, run="ours")


def test_a_block_that_o_direct_cannot_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="multiple of 4096"):
        Manifest.create(tmp_path / "m", SIZE, block=1000)


def test_the_seal_changes_with_one_entry(tmp_path: Path) -> None:
    manifest = Manifest.create(tmp_path / "m", SIZE, block=BLOCK)
    before = manifest.seal()

    manifest.put(7, digest(b"x"))

    assert manifest.seal() != before
