"""Bring a copy to the vault: compare with the list kept from the last one, send what differs.

The list of a copy (sha256 of each 16 KiB, one a line, as in the vault's own `NAME.blocks`) is
kept by the sender, since the vault never tells one. What the two sides agree on first is the root
of the last copy, the sha256 of that list: when the vault knows another one, all is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from releve.vault.store import LINE, digest_of_file, line_of, write_zero_blocks
from releve.vault.wire import (
    ANSWER,
    BLOCK,
    END,
    HELLO,
    RESULT,
    VERSION,
    Batch,
    DiskSize,
    Reader,
    Refusal,
    WireError,
    frame_of_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class SourceDisk(Protocol):
    """A disk at one point in time."""

    @property
    def disk(self) -> DiskSize:
        """Its name and size."""

    def everything(self) -> Iterator[tuple[int, int, memoryview | None]]:
        """Yield the whole disk, in order: (offset, length, bytes, or None for zeros)."""

    def changes(self) -> Iterator[tuple[int, int, memoryview | None]] | None:
        """Yield what may have changed since the last copy, in whole blocks; None: not known."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the vault said, and what it cost."""

    words: dict[str, Any]
    sent_blocks: int
    read_bytes: int
    compared: str
    seconds: float = 0.0


@dataclass(slots=True)
class KnownBlocks:
    """The list of one disk of the last copy, and beside it the list of the copy being made."""

    disk: DiskSize
    file: Path
    part: Path
    fd: int = -1

    @classmethod
    def load(cls, folder: Path, disk: DiskSize) -> KnownBlocks:
        """Find the list in `folder`; one of another size is as good as none."""
        file = folder / f"{disk.name}.blocks"
        return cls(disk, file, folder / f"{disk.name}.blocks.new")

    def root(self) -> str | None:
        """Return the root of the last copy, or None."""
        if not self.file.exists() or self.file.stat().st_size != self.disk.blocks * LINE:
            return None
        with self.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def start(self, based: bool) -> None:
        """Begin the list of the new copy: from the last one, or from a disk of zeros."""
        self.fd = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        if not based:
            write_zero_blocks(self.fd, self.disk)
            return
        with self.file.open("rb") as stream:
            while os.copy_file_range(stream.fileno(), self.fd, 1 << 30):
                pass

    def lines(self, first: int, count: int) -> bytes:
        """Return `count` lines of the new list."""
        return os.pread(self.fd, count * LINE, first * LINE)

    def put(self, first: int, lines: bytes) -> None:
        """Write lines of the new list."""
        os.pwrite(self.fd, lines, first * LINE)

    def new_root(self) -> str:
        """Return the root of the new copy."""
        return digest_of_file(self.fd)

    def keep(self) -> None:
        """From now on the new list is the last one."""
        os.fsync(self.fd)
        os.close(self.fd)
        self.fd = -1
        self.part.replace(self.file)

    def drop(self) -> None:
        """Forget the new list."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.part.unlink(missing_ok=True)


@dataclass(slots=True)
class Sender:
    """One copy on its way."""

    out: IO[bytes]
    reader: Reader
    sent_blocks: int = 0
    read_bytes: int = 0

    def put(
        self, sources: Sequence[SourceDisk], known: Sequence[KnownBlocks], guest: dict[str, Any]
    ) -> Sent:
        """Bring one copy; raises Refusal, WireError, or whatever a source raises.

        The lists of `known` are kept on success and left as they were otherwise.
        """
        entries = [{"name": k.disk.name, "size": k.disk.size, "root": k.root()} for k in known]
        hello = {"version": VERSION, "disks": entries, "guest": guest}
        self._write(frame_of_words(HELLO, hello))
        answer = self.reader.words(ANSWER)
        base = answer.get("base")
        if answer.get("version") != VERSION or not isinstance(base, list):
            message = "the vault speaks another version: renew the sender or the vault"
            raise Refusal(message)
        how = set()
        try:
            for number, (source, one) in enumerate(zip(sources, known, strict=True)):
                one.start(bool(base[number]))
                how.add(self._disk(number, source, one, bool(base[number])))
            self._write(frame_of_words(END, {"roots": [one.new_root() for one in known]}))
            words = self.reader.words(RESULT)
            for one in known:
                one.keep()
        finally:
            for one in known:
                one.drop()
        return Sent(words, self.sent_blocks, self.read_bytes, "+".join(sorted(how)))

    def _disk(self, number: int, source: SourceDisk, known: KnownBlocks, based: bool) -> str:
        changes = source.changes() if based else None
        batch = Batch(number, known.disk)
        for offset, length, data in source.everything() if changes is None else changes:
            self._run(batch, known, offset, length, data)
        for frame in batch.flush():
            self._write(frame)
        if changes is not None:
            return "bitmap"
        return "compared" if based else "all"

    def _run(
        self, batch: Batch, known: KnownBlocks, offset: int, length: int, data: memoryview | None
    ) -> None:
        """Compare one run of whole blocks with the list, and send those that differ."""
        first, disk = offset // BLOCK, known.disk
        count = -(-length // BLOCK)
        if offset % BLOCK or ((offset + length) % BLOCK and offset + length != disk.size):
            message = f"disk {disk.name}: {length} bytes at {offset} are not whole blocks"
            raise WireError(message)
        self.read_bytes += length if data is not None else 0
        step = 4096
        for start in range(first, first + count, step):
            some = min(step, first + count - start)
            old = known.lines(start, some)
            new = bytearray(old)
            for index in range(start, start + some):
                at = (index - start) * LINE
                begin = (index - first) * BLOCK
                block = None if data is None else data[begin : begin + disk.length(index)]
                digest = (
                    disk.zero_digest(index) if block is None else hashlib.sha256(block).digest()
                )
                line = line_of(digest)
                if line == old[at : at + LINE]:
                    continue
                new[at : at + LINE] = line
                self.sent_blocks += 1
                frames = (
                    batch.add_zeros(index, 1)
                    if block is None
                    else batch.add(index, bytes(block), digest)
                )
                for frame in frames:
                    self._write(frame)
            if new != old:
                known.put(start, bytes(new))

    def _write(self, frame: bytes) -> None:
        try:
            self.out.write(frame)
            self.out.flush()
        except BrokenPipeError:
            # The vault has closed: what it said, if anything, is better than a broken pipe.
            self.reader.words(RESULT)
            raise


@contextlib.contextmanager
def connected(argv: list[str]) -> Iterator[tuple[IO[bytes], Reader]]:
    """Yield the two ends of the program that carries the frames (ssh).

    A WireError gains what that program said last: "permission denied" tells more than a cut.
    """
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as ssh,
    ):
        assert ssh.stdin is not None  # noqa: S101  # asked for above
        assert ssh.stdout is not None  # noqa: S101  # likewise
        try:
            yield ssh.stdin, Reader(ssh.stdout.read)
        except (WireError, BrokenPipeError) as error:
            ssh.kill()
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            message = f"{error}; {argv[0]} said: {last[:300] or 'nothing'}"
            raise WireError(message) from error
        finally:
            ssh.kill()
            with contextlib.suppress(BrokenPipeError):
                ssh.stdin.close()
