"""A power cut at any system call: whatever had not reached the disk, the next run ends right.

The calls are those of a real worker, seen by strace, and each prefix of them is replayed with what
no fsync covers lost, kept or torn. On each such disk a block that the manifest knows is what the
manifest says of it; on some of them the worker then goes on, and the target equals the source.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.unit.blocks.conftest import Export, Machine, Worker
from tests.unit.blocks.power import Call, Disk, calls, cuts, trace
from tests.unit.blocks.test_crashes import mutant, new_disk

from releve.blocks.manifest import BLOCK, DIGEST_BYTES, HEADER_BYTES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("strace"), reason="no strace (Debian package strace)"),
]
MIB = 1 << 20
WAYS = 2  # choices of surviving sectors for each call
RESUMED = 6  # power cuts after which a worker goes on


def files(worker: Worker) -> dict[str, Path]:
    return {
        "target": worker.target,
        "manifest": worker.state / "manifest",
        "journal": worker.state / "journal.jsonl",
    }


def now(worker: Worker) -> Disk:
    return Disk({name: bytearray(path.read_bytes()) for name, path in files(worker).items()})


def put(worker: Worker, disk: Disk) -> None:
    for name, path in files(worker).items():
        path.write_bytes(disk.files[name])


def lies(disk: Disk) -> list[int]:
    """Return the blocks that are not what the manifest says they are."""
    entries = disk.files["manifest"][HEADER_BYTES:]
    target = memoryview(disk.files["target"])
    wrong = []
    for index in range(len(entries) // DIGEST_BYTES):
        entry = bytes(entries[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])
        block = target[index * BLOCK : (index + 1) * BLOCK]
        if entry != UNKNOWN and entry != hashlib.sha256(block).digest():
            wrong.append(index)
    return wrong


class Story:
    """One verb of a worker whose system calls were seen."""

    def __init__(self, worker: Worker, source: Export | Machine, verb: str, *more: str) -> None:
        """Run it; `before` and `made` are the disk before it and its calls."""
        self.worker, self.source, self.verb, self.more = worker, source, verb, more
        self.before = now(worker)
        log = worker.state / "strace"
        ends = (f"--source={source.uri}", f"--target={worker.target}", "--checkpoint=1")
        trace(worker.argv(verb, *ends, *more), log)
        self.made: list[Call] = list(calls(log, files(worker), self.before))
        log.unlink()

    def go_on(self, disk: Disk) -> bool:
        """Let the worker run again after a power cut; say whether target and source are equal."""
        put(self.worker, disk)
        verb, more = (self.verb, self.more) if self.verb != "seed" else ("seed", ())
        assert self.worker.move(verb, self.source, *more)["event"] == "done"
        return self.source.disk.read_bytes() == self.worker.target.read_bytes()


def seed(folder: Path, pyz: Path) -> tuple[Story, Callable[[], None]]:
    worker, export = Worker(folder, pyz), Export(folder, new_disk(folder))
    assert worker.crash("manifest-made", "seed", export)
    worker.state.joinpath("journal.jsonl").touch()
    size = export.disk.stat().st_size
    worker.target.write_bytes(random.Random(7).randbytes(size))  # noqa: S311  # not for secrets
    return Story(worker, export, "seed"), export.stop


def delta(folder: Path, pyz: Path) -> tuple[Story, Callable[[], None]]:
    worker, export = Worker(folder, pyz), Export(folder, new_disk(folder))
    worker.move("seed", export)
    chance = random.Random(8)  # noqa: S311  # not for secrets
    for number in range(8):
        export.write(number * 700_001, chance.randbytes(90_000))
    export.stop()
    export = Export(folder, export.disk)
    return Story(worker, export, "delta"), export.stop


def round_(folder: Path, pyz: Path) -> tuple[Story, Callable[[], None]]:
    worker, machine = Worker(folder, pyz), Machine(folder, new_disk(folder))
    machine.bitmap("b1")
    machine.export()
    worker.move("seed", machine)
    for number in range(8):
        machine.write(number + 1, number * 700_416, 90_112)
    machine.zero(MIB, 2 * MIB)
    machine.freeze("b1")
    machine.export("b1")
    return Story(worker, machine, "round", "--bitmap=b1"), machine.stop


STORIES = {"seed": seed, "delta": delta, "round": round_}


@pytest.mark.parametrize("name", STORIES)
def test_a_power_cut_at_any_call_hides_no_wrong_block(tmp_path: Path, pyz: Path, name: str) -> None:
    chance = random.Random(name)  # noqa: S311  # not for secrets
    story, stop = STORIES[name](tmp_path, pyz)
    try:
        assert {call.file for call in story.made} == {"target", "manifest", "journal"}
        done = f'"{name}-done"'.encode()
        whole = bytearray(story.source.disk.read_bytes())
        told, resumed = 0, []
        for disk in cuts(story.before, story.made, chance, WAYS):
            assert not lies(disk)
            if done in disk.files["journal"]:
                told += 1
                assert disk.files["target"] == whole, "it said so too early"
            if chance.random() < RESUMED / len(story.made) / WAYS:
                resumed.append(disk)
        assert told
        assert all(story.go_on(disk) for disk in resumed[:RESUMED])
    finally:
        stop()


MUTANTS = {
    "target before manifest": ("seed", "copy.py", "                self.volume.sync()", "pass"),
    "intent before target": (
        "round", "manifest.py", "self.mark_unknown(ranges)\n        self.sync()",
        "self.mark_unknown(ranges)",
    ),
    "difference before target": (
        "delta", "delta.py", "self._manifest.sync()", "pass",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_sync_left_out_is_noticed(tmp_path: Path, pyz: Path, name: str) -> None:
    verb, file, guard, without = MUTANTS[name]
    indent = " " * (len(guard) - len(guard.lstrip()))
    broken = mutant(pyz, tmp_path, file, guard, indent + without)
    story, stop = STORIES[verb](tmp_path, broken)
    stop()

    chance = random.Random(name)  # noqa: S311  # not for secrets

    assert any(lies(disk) for disk in cuts(story.before, story.made, chance, 6))
