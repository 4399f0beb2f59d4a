"""The hash delta: what differs is found without a bitmap, and nothing else is written."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from releve.blocks import crash
from releve.blocks.hashes import SCRIPT
from releve.blocks.manifest import Manifest

if TYPE_CHECKING:
    from tests.unit.blocks.conftest import Export, Worker

pytestmark = pytest.mark.slow

MIB = 1 << 20
BLOCK = 65536


def list_of(export: Export, block: int = BLOCK) -> str:
    """Return what the source's host prints of its disk."""
    size = export.disk.stat().st_size
    argv = ["sh", str(SCRIPT), str(export.disk), str(size), str(block), "2"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def change(export: Export) -> int:
    """Change data, a hole, the tail, and make a hole; return the bytes of the blocks touched."""
    export.write(MIB + 5, b"data")
    export.write(8 * MIB - 1, b"ab")  # two blocks of what was a hole
    export.write(24 * MIB + 513, b"tail")
    export.zero(10 * MIB, 4 * BLOCK)
    return 3 * BLOCK + 3 * 512 + 4 * BLOCK


def same(export: Export, worker: Worker) -> bool:
    return export.disk.read_bytes() == worker.target.read_bytes()


def whole(export: Export, worker: Worker) -> bool:
    """Tell whether the target is the source, and both are what the manifest says."""
    good = worker.verify()["event"] == worker.audit(export)["event"] == "done"
    return good and same(export, worker)


def test_only_what_differs_is_written(export: Export, worker: Worker) -> None:
    worker.move("seed", export)
    touched = change(export)

    done = worker.move("delta", export)

    assert done["event"] == "done"
    assert done["differing"] == touched
    assert done["wrote"] + done["zeroed"] == touched
    assert done["compared"] < 11 * MIB, "holes were read"
    assert whole(export, worker)


@pytest.mark.parametrize("block", [BLOCK, MIB], ids=["same blocks", "larger blocks"])
def test_with_a_list_only_what_differs_crosses_the_wire(
    export: Export, worker: Worker, block: int
) -> None:
    worker.move("seed", export)
    touched = change(export)

    done = worker.move("delta", export, "--hashes=-", stdin=list_of(export, block))

    assert done["event"] == "done"
    if block == BLOCK:
        assert done["differing"] == touched
    assert 0 < done["read"] <= 4 * block
    assert whole(export, worker)


def test_nothing_is_moved_when_nothing_changed(export: Export, worker: Worker) -> None:
    worker.move("seed", export)

    for options, stdin in (((), ""), (("--hashes=-",), list_of(export))):
        done = worker.move("delta", export, *options, stdin=stdin)
        assert (done["read"], done["wrote"], done["zeroed"]) == (0, 0, 0)

    assert whole(export, worker)


def test_larger_blocks_are_compared_with_the_target_itself(export: Export, worker: Worker) -> None:
    worker.move("seed", export)
    with worker.target.open("r+b") as stream:  # behind the manifest's back
        stream.seek(2 * MIB)
        stream.write(b"rubbish")

    done = worker.move("delta", export, "--hashes=-", stdin=list_of(export, MIB))

    assert done["differing"] == MIB
    assert whole(export, worker)


def test_a_list_in_a_file_with_numbers_of_blocks(export: Export, worker: Worker) -> None:
    worker.move("seed", export)
    change(export)
    path = worker.state / "list"
    lines = []
    for line in list_of(export).splitlines()[1:]:
        words = line.replace("*", " ").split()
        assert words[0] != "zero", "the disk is too small for a step of zeros"
        lines.append(f"{words[0]} {int(words[1]) // BLOCK}\n")
    path.write_text("".join(lines))

    assert worker.move("delta", export, f"--hashes={path}")["kind"] == "hashes"
    assert worker.move("delta", export, f"--hashes={path}", "--unit=blocks")["event"] == "done"
    assert whole(export, worker)


@pytest.mark.parametrize("torn", ["line", "byte"])
def test_a_torn_list_writes_nothing(export: Export, worker: Worker, torn: str) -> None:
    worker.move("seed", export)
    before = worker.target.read_bytes()
    change(export)
    text = list_of(export)
    cut = text[: text.rindex("\n", 0, -1) + 1] if torn == "line" else text[:-1]

    refused = worker.move("delta", export, "--hashes=-", stdin=cut)

    assert refused["kind"] == "hashes"
    assert "torn" in refused["error"]
    assert worker.target.read_bytes() == before
    assert worker.move("delta", export)["event"] == "done"
    assert whole(export, worker)


def test_a_silent_list_is_given_up(export: Export, worker: Worker) -> None:
    worker.move("seed", export)
    ends = (f"--source={export.uri}", f"--target={worker.target}")
    argv = worker.argv("delta", *ends, "--hashes=-", "--stall=0.5")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        said = process.stdout.read().splitlines()[-1]
        assert process.wait(timeout=20) == 1

    assert b"nothing came for 0.5 s" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [point for point in crash.POINTS if point not in {"manifest-made", "punched"}]
)
def test_a_crash_at_any_point_leaves_no_wrong_block_behind(
    export: Export, worker: Worker, point: str
) -> None:
    """A becomes B, the delta that copies B dies, the source has A again."""
    kept = bytes(range(256)) * 1024
    export.write(3 * MIB, kept)
    worker.move("seed", export)
    export.write(3 * MIB, os.urandom(len(kept)))

    assert worker.crash(point, "delta", export), f"the delta never came to {point}"
    if point in {"written", "synced"}:
        assert worker.verify()["kind"] == "difference", "a block in the air counts as good"
    export.write(3 * MIB, kept)
    done = worker.move("delta", export)

    assert done["event"] == "done"
    assert whole(export, worker)


def test_a_delta_before_the_seed_is_refused(export: Export, worker: Worker) -> None:
    refused = worker.move("delta", export)

    assert refused["kind"] == "manifest"
    assert not worker.target.stat().st_size


def test_a_delta_finishes_a_seed_that_died(export: Export, worker: Worker) -> None:
    assert worker.crash("put", "seed", export)

    assert worker.move("delta", export)["event"] == "done"

    assert whole(export, worker)
    manifest = Manifest.open(worker.state / "manifest", run="r1")
    assert not list(manifest.unknown())


def test_what_was_copied_is_read_back(export: Export, worker: Worker) -> None:
    worker.move("seed", export)
    touched = change(export)

    done = worker.move("delta", export, "--read-back")

    assert done["event"] == "done"
    assert done["read_back"] == -(-touched // BLOCK)
