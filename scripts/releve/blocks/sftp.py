"""Read one file or block device of another host over SFTP (version 3), many pieces at once.

SFTP tells no size of a block device, so file systems made of it show none; reading works.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import struct
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, NamedTuple

from releve.blocks.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE = 32 * 1024  # every server gives so much at once
ANSWER_SECONDS = 60.0
LONGEST = 1 << 20  # of one packet; a longer one is no SFTP but, say, a login message
_INIT, _VERSION, _OPEN, _READ = 1, 2, 3, 5
_STATUS, _HANDLE, _DATA = 101, 102, 103
_FOR_READING = 1
_EOF = 1


class Answer(NamedTuple):
    """What the server said to one request; kind 0: the connection ended."""

    kind: int
    body: bytes


class Sftp:
    """One file of another host, open for reading; safe to be read by several threads."""

    def __init__(self, argv: Sequence[str], file: str) -> None:
        """`argv` speaks SFTP on its standard input and output; raises SourceError."""
        self._file = file
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the connection
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self._ids, self._lock = itertools.count(1), threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Answer]] = {}
        self._ended = False
        with contextlib.suppress(SourceError):  # whoever ended already has said why
            self._write(struct.pack(">BI", _INIT, 3))
        if self._next()[:1] != bytes([_VERSION]):
            raise self._error(self._last_words() or "the other side speaks no SFTP")
        threading.Thread(target=self._pump, daemon=True).start()
        name = file.encode()
        words = struct.pack(">I", len(name)) + name + struct.pack(">II", _FOR_READING, 0)
        answer = self._await(self._ask(_OPEN, words))
        if answer.kind != _HANDLE:
            raise self._error("it cannot be opened there")
        self._handle = answer.body

    def read(self, offset: int, length: int) -> bytes:
        """Return just so many bytes; raises SourceError."""
        starts = range(offset, offset + length, PIECE)
        asked = [(at, self._ask_read(at, min(PIECE, offset + length - at))) for at in starts]
        return b"".join(self._piece(at, min(PIECE, offset + length - at), box) for at, box in asked)

    def close(self) -> None:
        """End the connection."""
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip().rpartition("\n")[2]

    def _ask_read(self, offset: int, length: int) -> queue.SimpleQueue[Answer]:
        return self._ask(_READ, self._handle + struct.pack(">QI", offset, length))

    def _piece(self, offset: int, length: int, box: queue.SimpleQueue[Answer]) -> bytes:
        """Wait for one piece, and ask again for what a short answer left out."""
        data = b""
        while True:
            answer = self._await(box)
            if answer.kind != _DATA or not answer.body[4:]:
                ends = answer.kind == _STATUS and answer.body[:4] == struct.pack(">I", _EOF)
                why = "it ends" if ends else "it cannot be read"
                raise self._error(f"{why} at byte {offset + len(data)}")
            data += answer.body[4:]
            if len(data) >= length:
                return data[:length]
            box = self._ask_read(offset + len(data), length - len(data))

    def _ask(self, kind: int, words: bytes) -> queue.SimpleQueue[Answer]:
        box: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        with self._lock:
            if self._ended:
                raise self._error("the connection ended")
            number = next(self._ids)
            self._waiting[number] = box
            self._write(struct.pack(">BI", kind, number) + words)
        return box

    def _await(self, box: queue.SimpleQueue[Answer]) -> Answer:
        try:
            answer = box.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise self._error(f"no answer for {ANSWER_SECONDS:g} s") from None
        if not answer.kind:
            raise self._error("the connection ended")
        return answer

    def _pump(self) -> None:
        """Give each answer to whoever waits for it, until the connection ends."""
        try:
            while packet := self._next():
                kind, number = struct.unpack(">BI", packet[:5])
                self._waiting.pop(number).put(Answer(kind, packet[5:]))
        except (SourceError, struct.error, KeyError):
            self._process.kill()  # what it says is not understood: nothing of it is believed
        with self._lock:
            self._ended = True
            for box in self._waiting.values():
                box.put(Answer(0, b""))

    def _next(self) -> bytes:
        """Return the next packet; nothing at the end."""
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        head = self._process.stdout.read(4)
        if len(head) < 4:  # noqa: PLR2004  # a length
            return b""
        length = int.from_bytes(head)
        if length > LONGEST:
            raise self._error("the other side speaks no SFTP")
        return self._process.stdout.read(length)

    def _write(self, packet: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # asked for above
        try:
            self._process.stdin.write(struct.pack(">I", len(packet)) + packet)
            self._process.stdin.flush()
        except OSError:
            raise self._error("the connection ended") from None

    def _error(self, why: str) -> SourceError:
        return SourceError(f"{self._file}: {why}")
