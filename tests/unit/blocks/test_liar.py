"""A server that answers half a read, or nothing about its extents, gets no byte accepted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from releve.blocks.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.blocks.conftest import Worker

SIZE = 8 << 20
OPT_GO, OPT_STRUCTURED, OPT_SET_CONTEXT = 7, 8, 10
CMD_READ, CMD_DISCONNECT, CMD_STATUS = 0, 2, 7


class Liar:
    """A server that offers a disk and then sends half of each read, as if it were whole."""

    def __init__(self, path: Path) -> None:
        """Listen on a unix socket."""
        self.uri = f"nbd+unix:///vda?socket={path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(9)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client.makefile("rb") as stream:
            self._negotiate(client, stream)
            self._transmit(client, stream)

    def _negotiate(self, client: socket.socket, stream: object) -> None:
        client.sendall(b"NBDMAGIC" + struct.pack(">QH", 0x49484156454F5054, 3))
        take(stream, 4)
        while True:
            _magic, option, length = struct.unpack(">QII", take(stream, 16))
            take(stream, length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                head = struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data))
                client.sendall(head + data)

            if option == OPT_STRUCTURED:
                reply(1)
            elif option == OPT_SET_CONTEXT:
                reply(4, struct.pack(">I", 1) + b"base:allocation")
                reply(1)
            elif option == OPT_GO:
                reply(3, struct.pack(">HQH", 0, SIZE, 0x103))
                reply(1)
                return
            else:
                reply(0x80000001)

    def _transmit(self, client: socket.socket, stream: object) -> None:
        while True:
            request = struct.unpack(">IHHQQI", take(stream, 28))
            _magic, _flags, command, cookie, offset, length = request
            if command == CMD_DISCONNECT:
                return
            if command == CMD_STATUS:
                body = struct.pack(">III", 1, length, 0)
                client.sendall(struct.pack(">IHHQI", 0x668E33EF, 1, 5, cookie, 12) + body)
                continue
            half = length // 2
            head = struct.pack(">IHHQIQ", 0x668E33EF, 0, 1, cookie, 8 + half, offset)
            client.sendall(head + b"N" * half)
            client.sendall(struct.pack(">IHHQI", 0x668E33EF, 1, 0, cookie, 0))


def take(stream: object, count: int) -> bytes:
    """Read exactly `count` bytes."""
    data: bytes = stream.read(count)  # type: ignore[attr-defined]
    if len(data) < count:
        raise EOFError
    return data


@pytest.fixture
def liar(tmp_path: Path) -> Liar:
    """Return a running liar."""
    return Liar(tmp_path / "l")


def test_half_an_answer_is_never_taken_for_the_whole(liar: Liar, worker: Worker) -> None:
    refused = worker.run("seed", f"--source={liar.uri}", f"--target={worker.target}")

    assert refused["kind"] == "source"
    assert "read of" in refused["error"]
    manifest = Manifest.open(worker.state / "manifest")
    assert [one.length for one in manifest.unknown()] == [SIZE], "a block counts as good"
    assert b"N" not in worker.target.read_bytes()
