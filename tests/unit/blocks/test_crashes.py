"""Whatever dies at whatever point: the target ends as the source was at the stop, byte for byte.

The mutants show that the tests can fail: each takes one guard out of the packed worker, and the
same story then ends with a wrong block.
"""

from __future__ import annotations

import random
import subprocess
import tracemalloc
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.blocks.conftest import PYTHON, Export, Machine, Worker
from tests.unit.blocks.liar import Liar

from releve.blocks import crash
from releve.blocks.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
MIB = 1 << 20
DISK = 6 * MIB + 3 * 512
SOURCES = str(Path(__file__).parents[3] / "scripts")

Writes = list[tuple[int, int, int]]  # sector, sectors, byte; 0: give the space back
writes = st.lists(
    st.tuples(st.integers(0, DISK // 512 - 1), st.integers(1, 600), st.integers(0, 255)),
    min_size=1,
    max_size=6,
)
deaths = st.sampled_from([None, *(f"{point}:{n}" for point in crash.POINTS for n in (1, 2))])


def new_disk(folder: Path) -> Path:
    path = folder / "source.raw"
    with path.open("wb") as stream:
        stream.truncate(DISK)
        stream.write(random.Random(3).randbytes(3 * MIB))  # noqa: S311  # not for secrets
        stream.seek(DISK - 700)
        stream.write(b"tail" * 10)
    return path


def guest_writes(machine: Machine, drawn: Writes) -> None:
    for sector, count, pattern in drawn:
        length = min(count, DISK // 512 - sector) * 512
        if pattern:
            machine.write(pattern, sector * 512, length)
        else:
            machine.zero(sector * 512, length)


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(writes, deaths, writes), min_size=1, max_size=3), deaths)
def test_random_writes_and_kills_leave_the_target_as_the_source(
    pyz: Path, rounds: list[tuple[Writes, str | None, Writes]], first: str | None
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        worker, machine = Worker(folder, pyz), Machine(folder, new_disk(folder))
        try:
            machine.bitmap("b1")
            machine.export()
            if first:
                worker.crash(first, "seed", machine, "--checkpoint=1")
            assert worker.move("seed", machine)["event"] == "done"
            for number, (before, death, after) in enumerate(rounds, 1):
                guest_writes(machine, before)
                machine.bitmap(f"b{number + 1}")
                machine.freeze(f"b{number}")
                machine.export(f"b{number}")
                if death:
                    worker.crash(death, "round", machine, f"--bitmap=b{number}")
                guest_writes(machine, after)
                assert worker.move("round", machine, f"--bitmap=b{number}")["event"] == "done"
            last = len(rounds) + 1
            machine.freeze(f"b{last}")
            machine.export(f"b{last}")
            assert worker.move("round", machine, f"--bitmap=b{last}")["event"] == "done"

            assert machine.disk.read_bytes() == worker.target.read_bytes()
            assert worker.verify()["bad"] == 0
            assert worker.audit(machine)["bad"] == 0
        finally:
            machine.stop()


def test_every_flip_is_found_and_nothing_else(tmp_path: Path, worker: Worker) -> None:
    """200 single bytes at random places, and 200 runs without one."""
    export = Export(tmp_path, new_disk(tmp_path))
    worker.move("seed", export)
    export.stop()
    program = """
import random, sys
from pathlib import Path
from releve.blocks.check import check_target
from releve.blocks.manifest import Manifest
from releve.blocks.volume import Volume
target, chance = Path(sys.argv[1]), random.Random(5)
manifest = Manifest.open(Path(sys.argv[2]))
def bad():
    volume = Volume(str(target), manifest.size)
    try: return check_target(volume, manifest, lambda *a, **k: None)
    finally: volume.close()
found = clean = 0
for number in range(200):
    offset = chance.randrange(manifest.size)
    with target.open("r+b") as stream:
        stream.seek(offset); old = stream.read(1)[0]
        stream.seek(offset); stream.write(bytes([old ^ 1 << chance.randrange(8)]))
    verdict = bad()
    found += verdict.bad == 1 and verdict.first == [offset // manifest.block * manifest.block]
    with target.open("r+b") as stream:
        stream.seek(offset); stream.write(bytes([old]))
    clean += bad().bad == 0
print(found, clean)
"""
    done = subprocess.run(
        [PYTHON, "-c", program, str(worker.target), str(worker.state / "manifest")],
        env={"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert done.stdout.split() == ["200", "200"]


def mutant(pyz: Path, folder: Path, file: str, old: str, new: str) -> Path:
    """Return the worker with one guard taken out."""
    path = folder / "mutant.pyz"
    with zipfile.ZipFile(pyz) as whole, zipfile.ZipFile(path, "w") as changed:
        for name in whole.namelist():
            text = whole.read(name).decode()
            if name == f"releve/blocks/{file}":
                assert text.count(old) == 1, f"{file} has not one {old!r}"
                text = text.replace(old, new)
            changed.writestr(name, text)
    return path


def written_back(folder: Path, pyz: Path) -> bool:
    """A becomes B, the round dies, its bitmap is lost, the guest writes A again."""
    worker, machine = Worker(folder, pyz), Machine(folder, new_disk(folder))
    try:
        machine.write(0xAA, 0, MIB)
        machine.bitmap("b1")
        machine.export()
        worker.move("seed", machine)
        machine.write(0xBB, 0, MIB)
        machine.freeze("b1")
        machine.export("b1")
        assert worker.crash("written", "round", machine, "--bitmap=b1")
        machine.write(0xAA, 0, MIB)
        assert worker.move("delta", machine)["event"] == "done"
        return machine.disk.read_bytes() == worker.target.read_bytes()
    finally:
        machine.stop()


def given_back(folder: Path, pyz: Path) -> bool:
    """A seed dies before its first checkpoint, then the guest discards what it had copied."""
    worker, export = Worker(folder, pyz), Export(folder, new_disk(folder))
    try:
        assert worker.crash("written", "seed", export, "--connections=1")  # the first read first
        export.zero(0, 3 * MIB)
        export.stop()  # QEMU remembers where data was: what changed behind it may still be data
        export = Export(folder, export.disk)
        assert worker.move("seed", export)["event"] == "done"
        return export.disk.read_bytes() == worker.target.read_bytes()
    finally:
        export.stop()


def half_twice(folder: Path, pyz: Path) -> bool:
    """A server sends one half of each answer twice, and the other half never."""
    worker, liar = Worker(folder, pyz), Liar(folder / "l", "one half twice")
    done = worker.run("seed", f"--source={liar.uri}", f"--target={worker.target}")
    return str(done["event"]) == "failed"


GUARDS: dict[str, tuple[Callable[[Path, Path], bool], str, str, str]] = {
    "write intent": (written_back, "copy.py", "self.manifest.forget(todo)", "pass"),
    "zeros are made": (given_back, "copy.py", "self.volume.punch(hole)", "pass"),
    "marked buffers": (half_twice, "nbd.py", "if mark in", "if None in"),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_taken_out_is_noticed(tmp_path: Path, pyz: Path, name: str) -> None:
    story, file, guard, without = GUARDS[name]
    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()

    assert story(tmp_path / "whole", pyz)
    assert not story(tmp_path / "broken", mutant(pyz, tmp_path, file, guard, without))


# Linux counts a parent's memory as its child's until the exec: a small parent stands in between.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_disk_of_a_tebibyte_needs_no_more_memory(tmp_path: Path, worker: Worker) -> None:
    disk = tmp_path / "wide.raw"
    with disk.open("wb") as stream:
        stream.truncate(1 << 40)
        for number in range(64):
            stream.seek((number << 34) + 4096)
            stream.write(b"data" * 5000)
    export = Export(tmp_path, disk)
    ends = {"seed": (export.uri, worker.target), "verify": ("", worker.target)}
    try:
        for verb, (source, target) in ends.items():
            argv = worker.argv(verb, f"--target={target}")
            argv += [f"--source={source}"] if source else []
            done = subprocess.run(
                [PYTHON, "-c", MEASURED, *argv], capture_output=True, text=True, check=True
            )
            code, peak = map(int, done.stdout.split())
            assert code == 0, verb
            assert peak < 64 * 1024, f"{verb}: KiB"
    finally:
        export.stop()


def test_a_manifest_of_many_tebibytes_is_walked_in_little_memory(tmp_path: Path) -> None:
    manifest = Manifest.create(tmp_path / "m", 2 << 40)
    tracemalloc.start()
    try:
        unknown = list(manifest.unknown())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [one.length for one in unknown] == [2 << 40]
    assert peak < 8 * MIB
