"""A moved disk equals its source, whatever dies on the way; what differs is named.

Real QEMU, real libnbd, the packed worker: no guest, the disk is written through QEMU itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from releve.blocks import journal
from releve.blocks.manifest import Manifest

if TYPE_CHECKING:
    from tests.unit.blocks.conftest import Machine, Worker

pytestmark = pytest.mark.slow

MIB = 1 << 20
SLOW = "--bandwidth=4"  # MiB/s: a worker that can be caught in the middle


def flip(worker: Worker, offset: int) -> None:
    with worker.target.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))


def same(machine: Machine, worker: Worker) -> bool:
    return machine.disk.read_bytes() == worker.target.read_bytes()


def rotate(machine: Machine, old: str, new: str) -> None:
    machine.bitmap(new)
    machine.freeze(old)
    machine.export(old)


def known_blocks(worker: Worker) -> int:
    manifest = Manifest.open(worker.state / "manifest")
    missing = sum(-(-one.length // manifest.block) for one in manifest.unknown())
    manifest.close()
    return manifest.count - missing


def test_a_seeded_target_equals_its_source(machine: Machine, worker: Worker) -> None:
    worker.target.write_bytes(os.urandom(24 * MIB))  # rubbish of an earlier owner

    seeded = worker.move("seed", machine)

    assert seeded["event"] == "done"
    assert same(machine, worker)
    assert worker.verify()["bad"] == 0
    assert worker.audit(machine)["bad"] == 0


def test_holes_stay_holes(machine: Machine, worker: Worker) -> None:
    seeded = worker.move("seed", machine)

    assert seeded["read"] < 11 * MIB
    assert worker.target.stat().st_blocks * 512 < 10 * MIB


@pytest.mark.parametrize("seed", [1, 2])
def test_rounds_carry_what_was_written_meanwhile(
    machine: Machine, worker: Worker, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # not for secrets
    worker.move("seed", machine)
    for number in range(1, 4):
        for _write in range(6):
            offset = chance.randrange(0, 47 * MIB // 2, 512)
            length = chance.randrange(512, 300_000, 512)
            if chance.random() < 0.3:
                machine.zero(offset, length)
            else:
                machine.write(chance.randrange(1, 255), offset, length)
        rotate(machine, f"b{number}", f"b{number + 1}")
        done = worker.move("round", machine, f"--bitmap=b{number}")
        assert done["event"] == "done"

    assert same(machine, worker)
    assert worker.verify()["bad"] == 0
    assert worker.audit(machine)["bad"] == 0


def test_rounds_are_in_the_order_of_their_numbers_beyond_the_tenth(
    machine: Machine, worker: Worker
) -> None:
    """As text, 10 would come before 2; each round changes a block of its own and the first one."""
    worker.move("seed", machine)
    for number in range(1, 13):
        machine.write(number, 0, 65_536)
        machine.write(number + 100, number * 65_536, 65_536)
        rotate(machine, f"b{number}", f"b{number + 1}")
        assert worker.move("round", machine, f"--bitmap=b{number}")["event"] == "done"
        if number == 10:
            assert same(machine, worker)

    assert same(machine, worker)
    assert worker.target.read_bytes()[0] == 12


def test_one_flipped_byte_is_found_and_named(machine: Machine, worker: Worker) -> None:
    worker.move("seed", machine)
    in_data, in_a_hole, in_the_tail = 2 * MIB + 12345, 20 * MIB + 1, 24 * MIB + 600

    for offset in (in_data, in_a_hole, in_the_tail):
        flip(worker, offset)
        verdict = worker.verify()
        assert verdict["kind"] == "difference"
        assert f"at bytes {offset - offset % 65536}" in verdict["error"]
        flip(worker, offset)

    assert worker.verify()["bad"] == 0


def test_a_source_that_changed_is_found(machine: Machine, worker: Worker) -> None:
    worker.move("seed", machine)
    machine.write(1, 21 * MIB, 512)

    verdict = worker.audit(machine)

    assert verdict["kind"] == "difference"
    assert f"at bytes {21 * MIB}" in verdict["error"]


def test_a_killed_seed_goes_on_from_its_last_checkpoint(machine: Machine, worker: Worker) -> None:
    machine.write(0x41, 0, 20 * MIB)
    options = (f"--source={machine.uri}", f"--target={worker.target}", "--checkpoint=2", SLOW)
    path = worker.state / "journal.jsonl"

    def checkpoints() -> list[int]:
        return [event["read"] for event in journal.read(path) if event["event"] == "checkpoint"]

    with worker.killed_midway("seed", *options):
        deadline = time.monotonic() + 20
        while len(checkpoints()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    saved = checkpoints()[-1]
    worker.move("seed", machine)

    started = [event for event in journal.read(path) if event["event"] == "seed-started"]
    done = journal.read(path)[-1]
    assert saved >= 4 * MIB
    assert started[0]["todo"] - saved >= started[1]["todo"]
    assert done["event"] == "seed-done"
    assert done["read"] == started[1]["todo"], "something was read twice"
    assert same(machine, worker)


def test_what_was_zeroed_after_a_killed_seed_is_zero_on_the_target(
    machine: Machine, worker: Worker
) -> None:
    """Data written without a checkpoint must not survive where the source has a hole now."""
    machine.write(0x42, 0, 20 * MIB)
    options = (f"--source={machine.uri}", f"--target={worker.target}", SLOW)
    with worker.killed_midway("seed", *options):
        deadline = time.monotonic() + 20
        while worker.target.stat().st_blocks * 512 < 3 * MIB and time.monotonic() < deadline:
            time.sleep(0.02)
    assert known_blocks(worker) < 10 * 16, "there was a checkpoint: the case is not met"
    machine.zero(0, 20 * MIB)

    worker.move("seed", machine)
    assert same(machine, worker)
    rotate(machine, "b1", "b2")
    worker.move("round", machine, "--bitmap=b1")

    assert same(machine, worker)
    assert worker.verify()["bad"] == 0


def test_a_block_written_back_after_a_killed_round_is_right(
    machine: Machine, worker: Worker
) -> None:
    """A becomes B, the round that copies B is killed, the guest writes A again."""
    machine.write(0xAA, 0, 20 * MIB)
    worker.move("seed", machine)
    machine.write(0xBB, 0, 20 * MIB)
    rotate(machine, "b1", "b2")
    options = (f"--source={machine.uri}", f"--target={worker.target}", "--bitmap=b1", SLOW)
    with worker.killed_midway("round", *options):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with worker.target.open("rb") as stream:
                if stream.read(1) == b"\xbb":
                    break
            time.sleep(0.02)
    assert known_blocks(worker) < 6 * 16, "blocks under the round's pen are not declared unknown"
    machine.write(0xAA, 0, 20 * MIB)

    worker.move("round", machine, "--bitmap=b1")
    rotate(machine, "b2", "b3")
    worker.move("round", machine, "--bitmap=b2")

    assert same(machine, worker)
    assert worker.verify()["bad"] == 0
    assert worker.audit(machine)["bad"] == 0


def test_a_round_before_the_seed_is_whole_is_refused(machine: Machine, worker: Worker) -> None:
    options = (f"--source={machine.uri}", f"--target={worker.target}", SLOW)
    with worker.killed_midway("seed", *options):
        deadline = time.monotonic() + 20
        while not (worker.state / "manifest").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    rotate(machine, "b1", "b2")

    refused = worker.move("round", machine, "--bitmap=b1")

    assert refused["kind"] == "manifest"
    assert "were never copied" in refused["error"]


def test_a_lost_bitmap_is_refused(machine: Machine, worker: Worker) -> None:
    worker.move("seed", machine)

    refused = worker.move("round", machine, "--bitmap=b1")  # b1 is not exported: as if lost

    assert refused["kind"] == "context-missing"
    assert known_blocks(worker) == 385, "the manifest was touched"


@pytest.mark.parametrize(
    ("blow", "kind"),
    [(signal.SIGKILL, "source"), (signal.SIGSTOP, "stall")],
    ids=["dies", "stalls"],
)
def test_a_server_that_dies_or_stalls_ends_the_worker(
    machine: Machine, worker: Worker, blow: signal.Signals, kind: str
) -> None:
    machine.write(0x43, 0, 20 * MIB)
    argv = worker.argv(
        "seed", f"--source={machine.uri}", f"--target={worker.target}", "--stall=1", SLOW
    )
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert any(json.loads(line)["read"] for line in process.stdout), "it ended before it read"

    machine.process.send_signal(blow)

    said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f'"kind": "{kind}"' in said
    assert 0 < known_blocks(worker) < 385, "what was read before is kept, nothing more"


def test_the_worker_speaks_while_it_only_looks_at_the_disk(
    machine: Machine, worker: Worker
) -> None:
    """A caller takes silence for death; a large disk in small pieces is looked at for minutes."""
    ends = (f"--source={machine.uri}", f"--target={worker.target}")
    argv = worker.argv("seed", *ends, "--schedule=sa-mo 50; unlimited", "--zone=Asia/Tokyo")

    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout

    first = json.loads(said.splitlines()[0])
    assert (first["event"], first["read"], first["todo"]) == ("progress", 0, 0)


def test_a_second_worker_on_the_same_volume_is_refused(machine: Machine, worker: Worker) -> None:
    machine.write(0x43, 0, 20 * MIB)
    options = (f"--source={machine.uri}", f"--target={worker.target}", "--bandwidth=0.5")
    with worker.killed_midway("seed", *options):
        deadline = time.monotonic() + 20
        while not (worker.state / "manifest").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        refused = worker.move("seed", machine, "--patience=0.2")

    assert refused["kind"] == "busy"


def test_a_volume_that_is_too_small_is_refused(machine: Machine, worker: Worker) -> None:
    worker.target.unlink()

    refused = worker.move("seed", machine)

    assert refused["kind"] == "target"
    assert "No such file" in refused["error"]


def test_a_round_reads_back_what_it_wrote_and_nothing_else(
    machine: Machine, worker: Worker
) -> None:
    machine.bitmap("one")
    worker.move("seed", machine)
    flip(worker, 0)  # outside of what the round writes: the verification before it finds that
    machine.write(7, 5 * MIB, 512)
    machine.zero(6 * MIB, 65536)
    rotate(machine, "one", "two")

    done = worker.move("round", machine, "--bitmap=one", "--read-back")

    assert done["event"] == "done"
    assert done["read_back"] == 2
