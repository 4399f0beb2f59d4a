"""A list of hashes is what the source's disk holds, whole, or it is refused."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releve.blocks.hashes import SCRIPT, HashesError, HashList, Named

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
BLOCK = 65536
SIZE = 5 * BLOCK + 512
SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]


def digests(data: bytes, block: int) -> dict[int, bytes]:
    return {
        offset: hashlib.sha256(data[offset : offset + block]).digest()
        for offset in range(0, len(data), block)
    }


def listed(text: str, size: int, block: int) -> dict[int, bytes]:
    """Return the digest of every block that a list names, zeros as well."""
    found = {}
    hashes = HashList(text.splitlines(), size, block)
    for one in hashes:
        if one.digest:
            found[one.offset] = one.digest
            continue
        zeros = digests(bytes(min(one.length, 100 * hashes.block)), hashes.block)
        found |= {one.offset + offset: digest for offset, digest in zeros.items()}
    return found


@pytest.mark.parametrize("shell", SHELLS, ids=[words[0] for words in SHELLS])
@pytest.mark.parametrize(("block", "jobs"), [(MIB, 1), (MIB, 3), (BLOCK, 2)])
def test_a_host_prints_the_hashes_of_its_disk(
    tmp_path: Path, shell: list[str], block: int, jobs: int
) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    disk = tmp_path / "a disk.raw"
    with disk.open("wb") as stream:
        stream.truncate((68 * MIB if block == MIB else 9 * MIB) + 3 * 512)  # one step of zeros
        stream.seek(-2 * MIB - 77, os.SEEK_END)
        stream.write(random.Random(1).randbytes(MIB + 5))  # noqa: S311  # not for secrets
    size = disk.stat().st_size

    with SCRIPT.open("rb") as script:
        done = subprocess.run(
            [*shell, "-s", "--", str(disk), str(size), str(block), str(jobs)],
            stdin=script,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert done.stderr == ""
    assert listed(done.stdout, size, BLOCK) == digests(disk.read_bytes(), block)
    assert ("zero 0 " in done.stdout) == (block == MIB), "a hole costs one line, not 64 hashes"


def test_what_the_host_cannot_read_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(100))
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "dd").write_text("#!/bin/sh\nexit 1\n")
    (broken / "dd").chmod(0o755)

    done = subprocess.run(
        ["sh", str(SCRIPT), str(disk), "100", "4096", "1"],
        env={"PATH": f"{broken}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    with pytest.raises(HashesError, match="could not read its disk at 0"):
        listed(done.stdout, 100, 4096)


def whole_list() -> list[str]:
    return [f"{number:064x}  {number * BLOCK}" for number in range(6)]


def test_offsets_may_be_numbers_of_blocks() -> None:
    lines = [f"{7:064x} {number}" for number in range(6)]

    found = list(HashList(lines, SIZE, BLOCK, unit=BLOCK))

    assert [one.offset for one in found] == [number * BLOCK for number in range(6)]
    assert found[-1].length == 512


def test_a_list_in_any_order_with_repeats_is_whole() -> None:
    lines = whole_list()
    random.Random(2).shuffle(lines)  # noqa: S311  # not for secrets

    assert len(list(HashList([*lines, lines[0], "", "  "], SIZE, BLOCK))) == 7


@pytest.mark.parametrize("lost", range(6))
def test_a_list_that_lacks_a_block_is_refused_at_its_end(lost: int) -> None:
    lines = whole_list()
    del lines[lost]

    with pytest.raises(HashesError, match="1 blocks are not in it"):
        list(HashList(lines, SIZE, BLOCK))


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(HashesError, match="6 blocks are not in it"):
        list(HashList([], SIZE, BLOCK))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{7:063x} 0", "line 7: .* is no hash and offset"),
        (f"{7:064x}", "is no hash and offset"),
        (f"{7:064x} -1", "is no hash and offset"),
        (f"{7:064x} 1", "are its offsets numbers of blocks"),
        (f"{7:064x} {6 * BLOCK}", "not whole blocks"),
        (f"zero 0 {BLOCK // 2}", "not whole blocks"),
        (f"zero {BLOCK}", "is no hash and offset"),
        ("failed 65536", "could not read its disk at 65536"),
        ("sh: dd: not found", "is no hash and offset"),
    ],
)
def test_a_bad_line_is_named(line: str, reason: str) -> None:
    with pytest.raises(HashesError, match=reason):
        list(HashList([*whole_list(), line], SIZE, BLOCK))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (f"releve-hashes 1 {SIZE + 512} {BLOCK}", "of a disk of"),
        (f"releve-hashes 1 {SIZE} {BLOCK + 4096}", "needs a multiple"),
        (f"releve-hashes 1 {SIZE} 0", "needs a multiple"),
        (f"releve-hashes 1 {SIZE}", "begins with"),
        (f"releve-hashes 12 {SIZE} {BLOCK}", "begins with"),
    ],
)
def test_a_list_of_another_disk_is_refused(header: str, reason: str) -> None:
    with pytest.raises(HashesError, match=reason):
        HashList([header], SIZE, BLOCK)


@given(
    st.integers(1, 20_000).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.tuples(st.integers(0, count), st.integers(0, count)).map(sorted), max_size=12
            ),
        )
    )
)
def test_blocks_named_are_counted_once(case: tuple[int, list[list[int]]]) -> None:
    count, runs = case
    named = Named(count)
    seen: set[int] = set()
    for first, end in runs:
        named.add(first, end)
        seen |= set(range(first, end))

    assert named.missing() == count - len(seen)
