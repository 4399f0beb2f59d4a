"""An NBD server that breaks the protocol in one way of choice."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 8 << 20
OPT_GO, OPT_STRUCTURED, OPT_SET_CONTEXT = 7, 8, 10
CMD_READ, CMD_DISCONNECT, CMD_STATUS = 0, 2, 7
DONE, MULTI_CONN = 1, 0x103
CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS, CHUNK_ERROR = 0, 1, 2, 5, 0x8001
EIO = 5


def take(stream: BinaryIO, count: int) -> bytes:
    """Read exactly `count` bytes."""
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


class Liar:
    """Offers a disk full of `N`; `lie` names how it answers, `honest` how many reads well."""

    def __init__(self, path: Path, lie: str, honest: int = 0) -> None:
        """Listen on a unix socket."""
        self.uri = f"nbd+unix:///vda?socket={path}"
        self._lie, self._honest = lie, honest
        self._clients = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(9)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self._clients += 1
                size = SIZE
                if self._lie == "grows" and self._clients > 2:  # not the first two
                    size += 65536
                threading.Thread(target=self._serve, args=(client, size), daemon=True).start()

    def _serve(self, client: socket.socket, size: int) -> None:
        with contextlib.suppress(OSError, EOFError), client, client.makefile("rb") as stream:
            self._negotiate(client, stream, size)
            while True:
                _magic, _flags, command, cookie, offset, length = struct.unpack(
                    ">IHHQQI", take(stream, 28)
                )
                if command == CMD_DISCONNECT:
                    return
                if command == CMD_STATUS:
                    self._status(client, cookie, length)
                elif self._honest > 0:
                    self._honest -= 1
                    data = struct.pack(">Q", offset) + b"G" * length
                    chunk(client, cookie, CHUNK_DATA, data, DONE)
                else:
                    self._read(client, cookie, offset, length)

    def _negotiate(self, client: socket.socket, stream: BinaryIO, size: int) -> None:
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
                reply(3, struct.pack(">HQH", 0, size, MULTI_CONN))
                reply(1)
                return
            else:
                reply(0x80000001)

    def _status(self, client: socket.socket, cookie: int, length: int) -> None:
        if self._lie == "status fails":
            chunk(client, cookie, CHUNK_ERROR, struct.pack(">IH", EIO, 0), DONE)
        elif self._lie == "status says nothing":
            chunk(client, cookie, CHUNK_NONE, b"", DONE)
        elif self._lie == "status of no length":
            chunk(client, cookie, CHUNK_STATUS, struct.pack(">III", 1, 0, 0), DONE)
        else:
            chunk(client, cookie, CHUNK_STATUS, struct.pack(">III", 1, length, 0), DONE)

    def _read(self, client: socket.socket, cookie: int, offset: int, length: int) -> None:
        half = length // 2
        part = struct.pack(">Q", offset) + b"N" * half
        if self._lie == "half":
            chunk(client, cookie, CHUNK_DATA, part)
        elif self._lie == "one half twice":
            chunk(client, cookie, CHUNK_DATA, part)
            chunk(client, cookie, CHUNK_DATA, part)
        elif self._lie == "too much":
            chunk(client, cookie, CHUNK_DATA, part + b"N" * (length - half + 512))
        elif self._lie == "elsewhere":
            data = struct.pack(">Q", offset + length) + b"N" * length
            chunk(client, cookie, CHUNK_DATA, data)
        elif self._lie == "another cookie":
            chunk(client, cookie + 77, CHUNK_DATA, part + b"N" * (length - half))
        elif self._lie == "error after half":
            chunk(client, cookie, CHUNK_DATA, part)
            chunk(client, cookie, CHUNK_ERROR, struct.pack(">IH", EIO, 0))
        elif self._lie == "dies in the middle":
            head = struct.pack(">IHHQI", 0x668E33EF, 0, CHUNK_DATA, cookie, 8 + length)
            client.sendall(head + part)
            client.shutdown(socket.SHUT_RDWR)
            raise EOFError
        elif self._lie == "stalls in the middle":
            head = struct.pack(">IHHQI", 0x668E33EF, 0, CHUNK_DATA, cookie, 8 + length)
            client.sendall(head + part)
            return
        elif self._lie == "rubbish":
            client.sendall(b"\x55" * 64)
        elif self._lie == "holes":
            chunk(client, cookie, CHUNK_HOLE, struct.pack(">QI", offset, length))
        chunk(client, cookie, CHUNK_NONE, b"", DONE)


def chunk(client: socket.socket, cookie: int, kind: int, data: bytes, flags: int = 0) -> None:
    """Send one chunk of a structured reply."""
    client.sendall(struct.pack(">IHHQI", 0x668E33EF, flags, kind, cookie, len(data)) + data)
