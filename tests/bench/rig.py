"""What the benchmark starts: servers, engines, and the clock around them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.blocks.conftest import PYTHON, Export, Machine, until

from releve.blocks.bundle import build

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
# Linux counts a parent's memory as its child's until the exec: a small parent stands in between.
CLOCK = """
import json, resource, subprocess, sys, time
with open(sys.argv[1], "wb") as stream:
    start = time.monotonic()
    code = subprocess.call(sys.argv[2:], stdout=stream, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - start
print(json.dumps([code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
HASH = """
import hashlib, mmap, sys, threading
length, count = map(int, sys.argv[1:])
part = memoryview(mmap.mmap(-1, 1 << 20))
part[:] = bytes(range(256)) * 4096
def work():
    for _ in range(length >> 20):
        for start in range(0, 1 << 20, 65536):
            hashlib.sha256(part[start : start + 65536]).digest()
threads = [threading.Thread(target=work) for _ in range(count)]
for one in threads: one.start()
for one in threads: one.join()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds on the wall, most memory in bytes, and what the worker said at its end."""

    seconds: float
    rss: int
    counts: dict[str, Any] = field(default_factory=dict)


def make_disk(path: Path, size: int, data: int, pieces: int = 16) -> Path:
    """Make a raw disk with `data` random bytes in so many pieces; drop it from the cache."""
    piece = data // pieces
    with path.open("wb") as stream:
        stream.truncate(size)
        for number in range(pieces):
            stream.seek(size // pieces * number // 65536 * 65536)
            left = piece
            while left:
                part = min(left, 8 * MIB)
                stream.write(random.randbytes(part))  # noqa: S311  # not for secrets
                left -= part
        stream.flush()
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


class Rig:
    """Runs engines from a source to one target in `folder`, each on a target made anew."""

    def __init__(self, folder: Path) -> None:
        """Pack the worker."""
        self.folder = folder
        self.target, self.state = folder / "target.raw", folder / "state"
        self._pyz = folder / "blocks.pyz"
        self._pyz.write_bytes(build())

    def _timed(self, argv: list[str], **environment: str) -> Run:
        output = self.folder / "output"
        clock = subprocess.run(
            [PYTHON, "-c", CLOCK, str(output), *argv],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        code, seconds, peak = json.loads(clock.stdout)
        text = output.read_text(errors="replace")
        if code != (-signal.SIGKILL if environment else 0):
            message = f"{argv[0]} ended with {code}: {text[-500:]}"
            raise RuntimeError(message)
        last = text.splitlines()[-1] if text.startswith("{") else "{}"
        return Run(seconds, peak * 1024, json.loads(last))

    def _worker(self, verb: str, *options: str, crash: str = "") -> Run:
        argv = [PYTHON, str(self._pyz), verb, f"--state={self.state}", "--run=bench", *options]
        return self._timed(argv, **({"RELEVE_CRASH": crash} if crash else {}))

    def _fresh(self, size: int = 0) -> None:
        self.target.unlink(missing_ok=True)
        with self.target.open("wb") as stream:
            stream.truncate(size)

    def seed(self, uri: str, *, fresh: bool = True, crash: str = "", checkpoint: int = 128) -> Run:
        """Copy all by the mover: with hashes, manifest and fsync."""
        if fresh:
            shutil.rmtree(self.state, ignore_errors=True)
            self._fresh()
        ends = (f"--source={uri}", f"--target={self.target}", f"--checkpoint={checkpoint}")
        return self._worker("seed", *ends, crash=crash)

    def round(self, uri: str, bitmap: str) -> Run:
        """Copy what a bitmap calls dirty and read it back, as the last round does."""
        ends = (f"--source={uri}", f"--target={self.target}")
        return self._worker("round", *ends, f"--bitmap={bitmap}", "--read-back")

    @contextlib.contextmanager
    def seeding(self, uri: str, bandwidth: str = "0") -> Iterator[None]:
        """Copy all, again and again, while something else is measured."""
        ends = (f"--source={uri}", f"--target={self.target}", f"--bandwidth={bandwidth}")
        words = [PYTHON, str(self._pyz), "seed", f"--state={self.state}", "--run=bench", *ends]
        again = f"while rm -rf {self.state}; : > {self.target}; {shlex.join(words)}; do :; done"
        with self.beside(["sh", "-c", again]):
            yield

    @contextlib.contextmanager
    def copying(self, uri: str, size: int) -> Iterator[None]:
        """Copy all by nbdcopy, again and again, while something else is measured."""
        self._fresh(size)
        with self._served(self.target, "--shared=8", name="t") as target:
            again = f"while {shlex.join(['nbdcopy', '--flush', uri, target])}; do :; done"
            with self.beside(["sh", "-c", again]):
                yield

    @contextlib.contextmanager
    def beside(self, argv: list[str]) -> Iterator[None]:
        """Run a program beside what is measured, and end it with all that it started."""
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            yield
            if process.poll() is not None:
                message = f"{argv[0]} ended early, with {process.returncode}"
                raise RuntimeError(message)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def guest(self, uri: str, seconds: float) -> list[float]:
        """Let a guest work for a while; return the milliseconds of each of its steps."""
        program = Path(__file__).with_name("guest.py")
        argv = [PYTHON, str(program), uri, str(seconds)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        return [float(one) for one in json.loads(done.stdout)]

    def hashing(self, length: int) -> float:
        """Hash so many bytes that are in memory, on all processors: no verification is faster."""
        count = len(os.sched_getaffinity(0))
        return self._timed([PYTHON, "-c", HASH, str(length // count), str(count)]).seconds

    def delta(self, uri: str) -> Run:
        """Compare by hashes and copy what differs."""
        return self._worker("delta", f"--source={uri}", f"--target={self.target}")

    def verify(self) -> Run:
        """Read the target back against the manifest."""
        return self._worker("verify", f"--target={self.target}")

    def compare(self, disk: Path) -> float:
        """Read source and target by `qemu-img compare`, past the page cache as well."""
        argv = ["qemu-img", "compare", "-T", "none", "-f", "raw", "-F", "raw"]
        return self._timed([*argv, str(disk), str(self.target)]).seconds

    def nbdcopy(self, uri: str, size: int) -> float:
        """Copy by nbdcopy to a server that writes past the page cache, and flush."""
        self._fresh(size)
        with self._served(self.target, "--shared=8", name="t") as target:
            return self._timed(["nbdcopy", "--flush", uri, target]).seconds

    def convert(self, uri: str) -> float:
        """Copy by `qemu-img convert`, past the page cache."""
        self._fresh()
        argv = ["qemu-img", "convert", "-f", "raw", "-O", "raw", "-t", "none", "-T", "none"]
        return self._timed([*argv, "-W", "-m", "8", uri, str(self.target)]).seconds

    def rsync(self, disk: Path) -> float:
        """Copy the file itself by rsync, holes kept, and fsync: no network at all."""
        self._fresh()
        argv = ["rsync", "--sparse", "--whole-file", "--fsync", str(disk), str(self.target)]
        return self._timed(argv).seconds

    @contextlib.contextmanager
    def serve(self, disk: Path) -> Iterator[str]:
        """Serve a disk read-only by qemu-nbd, past the page cache."""
        export = Export(self.folder, disk)
        try:
            yield export.uri
        finally:
            export.stop()

    @contextlib.contextmanager
    def _served(self, disk: Path, *options: str, name: str) -> Iterator[str]:
        socket = self.folder / name
        socket.unlink(missing_ok=True)
        argv = ["qemu-nbd", "--persistent", "--format=raw", "--cache=none", "--discard=unmap"]
        process = subprocess.Popen([*argv, f"--socket={socket}", *options, str(disk)])
        try:
            until(socket.exists, "qemu-nbd")
            yield f"nbd+unix:///?socket={socket}"
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def serve_late(self, disk: Path, delay: float) -> Iterator[str]:
        """Serve a disk over a line on which a question and its answer take `delay` ms more."""
        socket = self.folder / "l"
        socket.unlink(missing_ok=True)
        program = Path(__file__).with_name("late.py")
        with self.serve(disk) as uri:
            server = uri.partition("socket=")[2]
            argv = [PYTHON, str(program), str(socket), server, str(delay / 2e3)]
            with self.beside(argv):
                until(socket.exists, "the long line")
                yield f"nbd+unix:///vda?socket={socket}"

    @contextlib.contextmanager
    def machine(self, disk: Path) -> Iterator[Machine]:
        """Run a QEMU without a guest whose bitmap `b0` records."""
        machine = Machine(self.folder, disk)
        try:
            machine.bitmap("b0")
            machine.export()
            yield machine
        finally:
            machine.stop()
