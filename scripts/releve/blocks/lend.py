"""Offer a block device of another host as NBD behind a unix socket, read-only, over SFTP.

`python3 -m releve.blocks.lend --socket S --pid-file P --size N --file F -- ssh ... -s sftp`

It goes to the background when the device was opened and the socket listens. `--size` is what the
device's own host says.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from releve.blocks.errors import SourceError
from releve.blocks.sftp import Sftp

AT_ONCE = 4  # requests of one connection
LONGEST_READ = 32 << 20
_MAGIC, _OPTION, _OPTION_REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_HAS_FLAGS, _READ_ONLY, _MULTI_CONN = 1, 2, 256
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _INFO_REPLY, _UNSUPPORTED = 1, 3, (1 << 31) + 1
_REQUEST, _REPLY = 0x25609513, 0x67446698
_READ, _DISCONNECT = 0, 2
_EPERM, _EIO, _EINVAL = 1, 5, 22


class Connection:
    """One client: the handshake, then its requests."""

    def __init__(self, link: socket.socket, disk: Sftp, size: int) -> None:
        """`size` is the device's, in bytes."""
        self._link, self._disk, self._size = link, disk, size
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Answer until the client goes."""
        with self._link, contextlib.suppress(OSError, EOFError):
            self._link.sendall(_MAGIC + _OPTION + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
            no_zeroes = bool(struct.unpack(">I", self._take(4))[0] & _NO_ZEROES)
            if self._agree(no_zeroes=no_zeroes):
                self._answer()

    def _agree(self, *, no_zeroes: bool) -> bool:
        """Go through the client's options; say whether it wants the device then."""
        export = struct.pack(">QH", self._size, _HAS_FLAGS | _READ_ONLY | _MULTI_CONN)
        while True:
            magic, option, length = struct.unpack(">8sII", self._take(16))
            if magic != _OPTION or length > LONGEST_READ:
                return False
            self._take(length)
            if option == _EXPORT_NAME:
                self._link.sendall(export + (b"" if no_zeroes else bytes(124)))
                return True
            if option in {_INFO, _GO}:
                self._say(option, _INFO_REPLY, struct.pack(">H", 0) + export)
                self._say(option, _ACK)
                if option == _GO:
                    return True
            else:
                self._say(option, _ACK if option == _ABORT else _UNSUPPORTED)
                if option == _ABORT:
                    return False

    def _say(self, option: int, kind: int, data: bytes = b"") -> None:
        head = struct.pack(">QIII", _OPTION_REPLY, option, kind, len(data))
        self._link.sendall(head + data)

    def _answer(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while True:
                head = self._take(28)
                magic, _flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", head)
                if magic != _REQUEST or kind == _DISCONNECT:
                    return
                if kind != _READ:
                    self._reply(cookie, _EPERM)
                    return  # what follows may be data to be written
                pool.submit(self._read, cookie, offset, length)

    def _read(self, cookie: int, offset: int, length: int) -> None:
        with contextlib.suppress(OSError):
            if not 0 < length <= LONGEST_READ or offset + length > self._size:
                return self._reply(cookie, _EINVAL)
            try:
                data = self._disk.read(offset, length)
            except SourceError as error:
                sys.stderr.write(f"{error}\n")
                return self._reply(cookie, _EIO)
            return self._reply(cookie, 0, data)

    def _reply(self, cookie: int, error: int, data: bytes = b"") -> None:
        with self._lock:
            self._link.sendall(struct.pack(">IIQ", _REPLY, error, cookie) + data)

    def _take(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._link.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)


def lend(listener: socket.socket, disk: Sftp, size: int) -> None:
    """Take connections for ever."""
    while True:
        link, _address = listener.accept()
        threading.Thread(target=Connection(link, disk, size).serve, daemon=True).start()


def main() -> int:
    """Open the device, go to the background, and serve it; 1 when it cannot be opened."""
    top = argparse.ArgumentParser(description=__doc__)
    top.add_argument("--socket", type=Path, required=True)
    top.add_argument("--pid-file", type=Path, required=True)
    top.add_argument("--size", type=int, required=True, help="bytes")
    top.add_argument("--file", required=True, help="device at the other host")
    top.add_argument("command", nargs="+", help="speaks SFTP with that host")
    args = top.parse_args()
    args.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(args.socket))
    listener.listen(16)
    ready, says = os.pipe()
    if os.fork():
        os.close(says)
        said = os.read(ready, 1 << 16).decode()
        sys.stderr.write(said if said != "ready" else "")
        return 0 if said == "ready" else 1
    os.setsid()
    args.pid_file.write_text(f"{os.getpid()}\n")
    try:
        disk = Sftp(args.command, args.file)
        disk.read(max(0, args.size - 1), 1)
    except SourceError as error:
        os.write(says, f"{error}\n".encode())
        return 1
    silent = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(silent, number)
    os.write(says, b"ready")
    os.close(says)
    lend(listener, disk, args.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
