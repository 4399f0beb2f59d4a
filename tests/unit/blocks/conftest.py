"""A QEMU without a guest whose disk is written by hand, and the worker beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from releve.blocks.bundle import build
from releve.blocks.errors import MonitorError
from releve.blocks.qmp import Qmp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON = "/usr/bin/python3"  # libnbd belongs to the system's Python
QEMU = "qemu-system-x86_64"
MIB = 1 << 20


def missing() -> str:
    """Return what this machine lacks for tests with a real QEMU and a real libnbd."""
    if not shutil.which(QEMU):
        return f"no {QEMU} (Debian package qemu-system-x86)"
    found = subprocess.run([PYTHON, "-c", "import nbd"], capture_output=True, check=False)
    return "" if found.returncode == 0 else "no libnbd (Debian package python3-libnbd)"


class Machine:
    """One QEMU process with one raw disk; its guest is whoever calls `write` and `zero`."""

    def __init__(self, folder: Path, disk: Path) -> None:
        """Start QEMU and its NBD server."""
        self.disk = disk
        self.monitor, self.socket = folder / "q", folder / "n"
        for path in (self.monitor, self.socket):
            path.unlink(missing_ok=True)
        drive = f"if=none,id=drive0,file={disk},format=raw,cache=none,discard=unmap"
        base = [QEMU, "-S", "-machine", "none", "-nodefaults", "-display", "none"]
        monitor = f"unix:{self.monitor},server=on,wait=off"
        argv = [*base, "-drive", drive, "-qmp", monitor]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)  # each write is told there
        until(self._answers, "QEMU's monitor")
        address = {"type": "unix", "data": {"path": str(self.socket)}}
        with self.qmp() as qmp:
            self.node = qmp.execute("query-block")[0]["inserted"]["node-name"]
            qmp.execute("nbd-server-start", addr=address)
        self.uri = f"nbd+unix:///vda?socket={self.socket}"

    def _answers(self) -> bool:
        try:
            self.qmp().close()
        except MonitorError:
            return False
        return True

    def qmp(self) -> Qmp:
        """Return a connection to the monitor."""
        return Qmp(str(self.monitor))

    def write(self, pattern: int, offset: int, length: int) -> None:
        """Write one byte value, as a guest would."""
        self._io(f"write -P {pattern} {offset} {length}")

    def zero(self, offset: int, length: int) -> None:
        """Write zeros and give the space back, as a guest that discards would."""
        self._io(f"write -z -u {offset} {length}")

    def _io(self, command: str) -> None:
        line = f'qemu-io drive0 "{command}"'
        with self.qmp() as qmp:
            said = qmp.execute("human-monitor-command", command_line=line)
        assert "rror" not in said, said

    def bitmap(self, name: str) -> None:
        """Begin to record writes."""
        with self.qmp() as qmp:
            qmp.execute("block-dirty-bitmap-add", node=self.node, name=name, granularity=65536)

    def freeze(self, name: str) -> None:
        """Stop recording: only then may a bitmap be exported."""
        with self.qmp() as qmp:
            qmp.execute("block-dirty-bitmap-disable", node=self.node, name=name)

    def export(self, *bitmaps: str) -> None:
        """Offer the disk, with these bitmaps, in place of an earlier export."""
        words = {"type": "nbd", "id": "e", "node-name": self.node, "name": "vda"}
        with self.qmp() as qmp:
            if qmp.execute("query-block-exports"):
                qmp.execute("block-export-del", id="e", mode="hard")
                until(lambda: not qmp.execute("query-block-exports"), "the export to go")
            qmp.execute("block-export-add", **words, bitmaps=list(bitmaps))

    def work_place(self) -> str:
        """Return where a guest may read and write its disk, beside those who copy it."""
        words = {"type": "nbd", "id": "w", "node-name": self.node, "name": "work"}
        with self.qmp() as qmp:
            qmp.execute("block-export-add", **words, writable=True)
        return f"nbd+unix:///work?socket={self.socket}"

    def stop(self) -> None:
        """End QEMU."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Export:
    """A disk of a stopped guest, served by qemu-nbd."""

    def __init__(self, folder: Path, disk: Path, *options: str, shared: int = 8) -> None:
        """Serve a raw disk until `stop`."""
        self.disk, self._socket = disk, folder / "x"
        self._socket.unlink(missing_ok=True)
        argv = ["qemu-nbd", "--read-only", "--persistent", f"--shared={shared}", "--format=raw"]
        argv += [f"--socket={self._socket}", "--export-name=vda", "--cache=none", *options]
        self.process = subprocess.Popen([*argv, str(disk)])
        until(self._socket.exists, "qemu-nbd")
        self.uri = f"nbd+unix:///vda?socket={self._socket}"

    def write(self, offset: int, data: bytes) -> None:
        """Change the disk behind the server, as a guest would between two runs of it."""
        with self.disk.open("r+b") as stream:
            stream.seek(offset)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())

    def zero(self, offset: int, length: int) -> None:
        """Give space back."""
        argv = ["fallocate", "--punch-hole", f"--offset={offset}", f"--length={length}"]
        subprocess.run([*argv, str(self.disk)], check=True)

    def stop(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()


class Worker:
    """Runs verbs of the worker on one state folder and one target."""

    def __init__(self, folder: Path, pyz: Path) -> None:
        """Keep the target and the state in `folder`."""
        self.pyz = pyz
        self.target, self.state = folder / "target.raw", folder / "state"
        self.target.touch()

    def argv(self, verb: str, *options: str) -> list[str]:
        """Return the words that run a verb."""
        return [PYTHON, str(self.pyz), verb, f"--state={self.state}", "--run=r1", *options]

    def run(self, verb: str, *options: str, stdin: str = "") -> dict[str, Any]:
        """Run a verb to its end and return its last line."""
        done = subprocess.run(
            self.argv(verb, *options),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not done.stderr, done.stderr
        last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode == 0) == (last["event"] == "done"), done.stdout
        return last

    def move(
        self, verb: str, source: Machine | Export, *options: str, stdin: str = ""
    ) -> dict[str, Any]:
        """Run `seed`, `round` or `delta` from a source to the target."""
        ends = (f"--source={source.uri}", f"--target={self.target}")
        return self.run(verb, *ends, *options, stdin=stdin)

    def crash(self, point: str, verb: str, source: Machine | Export, *options: str) -> bool:
        """Run a verb that dies at a named point; tell whether it came there."""
        ends = (f"--source={source.uri}", f"--target={self.target}")
        done = subprocess.run(
            self.argv(verb, *ends, *options),
            env={**os.environ, "RELEVE_CRASH": point},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in {0, -signal.SIGKILL}, done.stdout
        return done.returncode != 0

    @contextlib.contextmanager
    def killed_midway(self, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a verb; the caller waits for its moment, then the worker dies by SIGKILL."""
        process = subprocess.Popen(self.argv(*argv), stdout=subprocess.DEVNULL)
        try:
            yield process
            assert process.poll() is None, "the worker ended before it was killed"
        finally:
            process.kill()
            process.wait()

    def audit(self, machine: Machine | Export) -> dict[str, Any]:
        """Read the source again against the manifest."""
        return self.run("audit", f"--source={machine.uri}")

    def verify(self) -> dict[str, Any]:
        """Read the target back against the manifest."""
        return self.run("verify", f"--target={self.target}")


def until(condition: Any, what: str, seconds: float = 20) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the packed worker."""
    if why := missing():
        pytest.skip(why)
    path = tmp_path_factory.mktemp("pyz") / "blocks.pyz"
    path.write_bytes(build())
    return path


@pytest.fixture
def worker(tmp_path: Path, pyz: Path) -> Worker:
    """Return a worker with a new target."""
    return Worker(tmp_path, pyz)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a disk of 24 MiB and a bit, with data, zeros and holes, and a short last block."""
    path = tmp_path / "source.raw"
    with path.open("wb") as stream:
        stream.truncate(24 * MIB + 3 * 512)
        stream.write(os.urandom(5 * MIB + 777))
        stream.seek(9 * MIB + 100)
        stream.write(os.urandom(3 * MIB))
        stream.seek(16 * MIB)
        stream.write(bytes(MIB))
        stream.seek(24 * MIB + 512)
        stream.write(os.urandom(1024))
    return path


@pytest.fixture
def machine(tmp_path: Path, disk: Path, pyz: Path) -> Iterator[Machine]:
    """Return a running QEMU with the disk exported and bitmap `b1` recording."""
    assert pyz.exists()
    one = Machine(tmp_path, disk)
    one.bitmap("b1")
    one.export()
    yield one
    one.stop()


@pytest.fixture
def export(tmp_path: Path, disk: Path, pyz: Path) -> Iterator[Export]:
    """Return the disk, served as that of a stopped guest."""
    assert pyz.exists()
    one = Export(tmp_path, disk)
    yield one
    one.stop()
