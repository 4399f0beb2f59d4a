"""Traps of NBD and libnbd, T1 to T13, each met once; test_liar and test_mover meet some again."""

from __future__ import annotations

import ast
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.blocks.conftest import PYTHON, Export, Worker
from tests.unit.blocks.liar import Liar

from releve.blocks import nbd_uri
from releve.blocks.errors import MonitorError

if TYPE_CHECKING:
    from tests.unit.blocks.conftest import Machine

MIB = 1 << 20
SOURCES = str(Path(__file__).parents[3] / "scripts")


def python(program: str, *arguments: str) -> str:
    """Run a few lines under the Python that has libnbd; return what they print."""
    done = subprocess.run(
        [PYTHON, "-c", program, *arguments],
        env={"PYTHONPATH": SOURCES, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refusal(expression: str, *arguments: str) -> str:
    """Return kind and text of the error that connecting raises."""
    return python(
        "import sys; from releve.blocks import nbd; from releve.blocks.errors import BlocksError\n"
        f"try: {expression}\n"
        "except (BlocksError, ValueError) as e: print(getattr(e, 'kind', 'value'), e)",
        *arguments,
    )


READ = """
import sys
from releve.blocks import nbd
from releve.blocks.errors import BlocksError
from releve.blocks.extents import Range
def read(handle):
    try:
        return sum(len(view) for _, view in nbd.read(handle, iter([Range(0, nbd.CHUNK)])))
    except BlocksError as error:
        return f"{error.kind}: {error}"
"""


@pytest.mark.parametrize("lie", ["half", "one half twice"])
def test_t1_an_answer_that_covers_half_is_refused(tmp_path: Path, pyz: Path, lie: str) -> None:
    """Taken for good, it leaves in the buffer what an earlier read put there."""
    assert pyz.exists()
    liar = Liar(tmp_path / "l", lie)

    said = python(READ + "print(read(nbd.connect(sys.argv[1])))", liar.uri)

    assert said.startswith("source: read of 1048576 bytes at 0")


def test_t2_reading_much_does_not_eat_memory(export: Export) -> None:
    program = """
import sys
from releve.blocks import nbd
from releve.blocks.extents import Range
def peak():  # ru_maxrss would begin with what the parent had
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
handle = nbd.connect(sys.argv[1])
def read(times):
    jobs = (Range(n % 20 * nbd.CHUNK, nbd.CHUNK) for n in range(times))
    for _ in nbd.read(handle, jobs): pass
read(20)
before = peak()
read(600)
print(peak() - before)
"""
    assert int(python(program, export.uri)) < 8 * 1024, "KiB more for 600 MiB read"


def test_t3_a_callback_of_libnbd_only_keeps_what_it_is_given() -> None:
    """One that raises counts as success, one that asserts aborts, one that asks its handle hangs.

    So a function within a function, which is what libnbd is given, appends and returns 0.
    """
    tree = ast.parse(Path(SOURCES, "releve/blocks/nbd.py").read_text())
    outer = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    given = {
        argument.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr.startswith("aio_")
        for argument in [*call.args, *(word.value for word in call.keywords)]
        if isinstance(argument, ast.Name)
    }
    callbacks = [
        inner
        for function in outer
        for inner in function.body
        if isinstance(inner, ast.FunctionDef) and inner.name in given
    ]

    assert [one.name for one in callbacks] == ["keep"]
    for one in callbacks:
        assert [ast.unparse(line).partition("(")[0] for line in one.body] == [
            "answers.append",
            "return 0",
        ]


def test_t3_an_exception_in_a_callback_is_not_taken_for_success(
    tmp_path: Path, export: Export, pyz: Path
) -> None:
    broken = tmp_path / "broken.pyz"
    with zipfile.ZipFile(pyz) as whole, zipfile.ZipFile(broken, "w") as changed:
        for name in whole.namelist():
            text = whole.read(name).decode().replace("answers.append((", "raise ValueError((")
            changed.writestr(name, text)
    worker = Worker(tmp_path, broken)
    argv = worker.argv("seed", f"--source={export.uri}", f"--target={worker.target}")

    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert "ValueError" in done.stderr, "libnbd prints it and goes on"
    assert done.returncode == 1
    assert '"kind": "source", "error": "block status at 0: ' in done.stdout


def test_t4_a_server_that_never_greets_is_given_up(tmp_path: Path, worker: Worker) -> None:
    path = tmp_path / "mute"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(9)
        refused = worker.run(
            "seed", f"--source=nbd+unix:///?socket={path}", f"--target={worker.target}", "--stall=1"
        )

    assert refused["kind"] == "stall"


def test_t5_a_handle_whose_server_died_is_not_used_again(tmp_path: Path, export: Export) -> None:
    program = """
import os, signal
handle = nbd.connect(sys.argv[1])
print(read(handle))
os.kill(int(sys.argv[2]), signal.SIGKILL)
print(read(handle))
print(read(handle))
"""

    said = python(READ + program, export.uri, str(export.process.pid)).splitlines()

    assert said[0] == str(MIB)
    assert all(line.startswith("source: read of") for line in said[1:]), said
    export.process.wait()
    again = Export(tmp_path, export.disk)
    try:
        assert python(READ + "print(read(nbd.connect(sys.argv[1])))", again.uri) == str(MIB)
    finally:
        again.stop()


def test_t6_each_context_is_asked_for(machine: Machine) -> None:
    machine.freeze("b1")
    machine.export("b1")
    there, lost = "qemu:dirty-bitmap:b1", "qemu:dirty-bitmap:b:2.x"

    said = refusal(f"nbd.connect(sys.argv[1], ['{there}', '{lost}'])", machine.uri)

    assert said.startswith("context-missing")
    assert said.endswith(f"does not offer {lost}")


def test_t6_a_dirty_block_that_was_given_back_is_not_read(machine: Machine, worker: Worker) -> None:
    machine.write(7, 0, 4 * MIB)
    worker.move("seed", machine)
    machine.bitmap("b2")
    machine.write(8, 0, 65536)
    machine.zero(MIB, 2 * MIB)
    machine.freeze("b2")
    machine.export("b2")

    done = worker.move("round", machine, "--bitmap=b2")

    assert (done["read"], done["zeroed"]) == (65536, 2 * MIB)
    assert machine.disk.read_bytes() == worker.target.read_bytes()


def test_t7_a_bitmap_that_records_is_not_exported(machine: Machine) -> None:
    with pytest.raises(MonitorError, match="incompatible with readonly export"):
        machine.export("b1")


def test_t8_a_disk_beyond_4_gib_is_described_to_its_end(tmp_path: Path, pyz: Path) -> None:
    assert pyz.exists()
    disk = tmp_path / "wide.raw"
    with disk.open("wb") as stream:
        stream.truncate((5 << 30) + 512)
        stream.seek(5 << 30)
        stream.write(b"end")
    export = Export(tmp_path, disk)
    program = """
import sys
from releve.blocks import nbd
handle = nbd.connect(sys.argv[1], ["base:allocation"])
print([(e.offset, e.length, e.zero) for e in nbd.extents(handle, ["base:allocation"])][-1])
print(sum(e.length for e in nbd.extents(handle, ["base:allocation"])))
"""
    try:
        last, total = python(program, export.uri).splitlines()
    finally:
        export.stop()

    assert last == str((5 << 30, 512, False))
    assert int(total) == (5 << 30) + 512


def test_t9_a_read_that_qemu_would_refuse_is_not_made(export: Export) -> None:
    said = refusal("list(nbd.read(nbd.connect(sys.argv[1]), iter(()), longest=64<<20))", export.uri)

    assert said.startswith("value")
    assert "33554432" in said

    program = (
        "list(nbd.read(nbd.connect(sys.argv[1]), iter([extents.Range(0, 8192)]), longest=4096))"
    )
    said = refusal(f"from releve.blocks import extents; {program}", export.uri)
    assert said == "value a read of 8192 bytes into a buffer of 4096"


@pytest.mark.skipif(not shutil.which("qemu-nbd"), reason="no qemu-nbd (qemu-utils)")
@pytest.mark.parametrize("name", ["d'été #1?&x=y", 'a"b/c', "%41"])
def test_t10_any_name_of_an_export_is_reached(tmp_path: Path, disk: Path, name: str) -> None:
    export = Export(tmp_path, disk, f"--export-name={name}")
    address = nbd_uri(str(tmp_path / "x"), name)
    try:
        assert refusal("print(nbd.connect(sys.argv[1]).get_size())", address) == str(
            disk.stat().st_size
        )
        wrong = refusal("nbd.connect(sys.argv[1])", export.uri)
    finally:
        export.stop()

    assert wrong.startswith("source")
    assert "no export named 'vda'" in wrong


def test_t10_no_server_is_an_error_that_names_its_address(tmp_path: Path, pyz: Path) -> None:
    assert pyz.exists()
    address = f"nbd+unix:///vda?socket={tmp_path}/nobody"

    assert refusal("nbd.connect(sys.argv[1])", address).startswith(f"source {address}")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nbds://localhost/x?tls-certificates=/nonexistent", "no ca-cert.pem"),
        ("nbds://localhost/x", "no ca-cert.pem"),
        ("nbds+unix:///x?socket=/s", "does not check who answers"),
    ],
)
def test_t11_tls_that_would_check_nobody_is_refused(pyz: Path, address: str, reason: str) -> None:
    assert pyz.exists()

    assert reason in refusal("nbd.connect(sys.argv[1])", address)


def test_t12_a_server_with_room_for_one_client_is_enough(
    tmp_path: Path, disk: Path, worker: Worker
) -> None:
    """A connection that lingers would keep the next one out: an old libnbd has no close()."""
    export = Export(tmp_path, disk, shared=1)
    try:
        for verb in ("seed", "delta"):
            assert worker.move(verb, export, "--stall=5")["event"] == "done"
        assert worker.audit(export)["event"] == "done"
    finally:
        export.stop()

    assert disk.read_bytes() == worker.target.read_bytes()


def test_t13_no_memory_is_both_writable_and_executable(export: Export, worker: Worker) -> None:
    program = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, as systemd's MemoryDenyWriteExecute
    print("old kernel")
    sys.exit()
os.execv(sys.argv[1], sys.argv[1:])
"""
    ends = (f"--source={export.uri}", f"--target={worker.target}")

    said = python(program, *worker.argv("seed", *ends))

    if said == "old kernel":
        pytest.skip("a kernel before 6.3")
    assert '"event": "done"' in said.splitlines()[-1]
