"""Read a guest's disk at its old host, piece by piece, whatever its format; nothing is changed."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from releve.command import CommandError
from releve.errors import ReleveError

if TYPE_CHECKING:
    from releve.ssh import Ssh

PIECE = 65_536
DUMP = re.compile(r"^[0-9a-f]+: {2}((?:[0-9a-f]{2} ){1,16})", re.MULTILINE)


class ReadError(ReleveError):
    """A disk could not be read, or what it holds is not what its format says."""


class Reader(Protocol):
    """Bytes of a disk as its guest sees them."""

    def read(self, offset: int, length: int) -> bytes:
        """Return just so many bytes; raises ReadError."""


@dataclass(slots=True)
class PieceReader:
    """Reads whole pieces by `piece(number)`, keeps them, and cuts out what is asked for."""

    most: int = 2048  # pieces: a broken table cannot make us read a whole disk
    _pieces: dict[int, bytes] = field(default_factory=dict)

    def piece(self, number: int) -> bytes:
        """Return one piece; a short one is the last."""
        raise NotImplementedError

    def read(self, offset: int, length: int) -> bytes:
        """Return just so many bytes; raises ReadError."""
        first, last = offset // PIECE, (offset + length - 1) // PIECE
        for number in range(first, last + 1):
            if number not in self._pieces:
                if len(self._pieces) >= self.most:
                    message = f"more than {self.most * PIECE >> 20} MiB were read for a few facts"
                    raise ReadError(message)
                self._pieces[number] = self.piece(number)
        data = b"".join(self._pieces[number] for number in range(first, last + 1))
        found = data[offset - first * PIECE :][:length]
        if len(found) != length:
            message = f"the disk ends before {offset + length}"
            raise ReadError(message)
        return found


@dataclass(slots=True)
class SshReader(PieceReader):
    """A disk on the old host: a raw one by `dd`, another format by `qemu-io`."""

    ssh: Ssh | None = None
    file: str = ""
    format: str = "raw"
    size: int = 0

    def piece(self, number: int) -> bytes:
        """Read one piece over ssh."""
        if self.ssh is None:
            message = f"{self.file}: no host to read it at"
            raise ReadError(message)
        offset = number * PIECE
        length = min(PIECE, self.size - offset) if self.size else PIECE
        if offset < 0 or length <= 0:
            message = f"{self.file}: {offset} is outside of the disk"
            raise ReadError(message)
        line = self._line(offset, length)
        try:
            said = self.ssh.run(line).stdout
        except CommandError as error:
            raise ReadError(str(error)) from error
        return self._bytes(said)

    def _line(self, offset: int, length: int) -> str:
        file = shlex.quote(self.file)
        if self.format == "raw":
            return f"dd if={file} bs={PIECE} skip={offset // PIECE} count=1 status=none | base64"
        words = shlex.quote(f"read -v {offset} {length}")
        return f"qemu-io -r -U -f {shlex.quote(self.format)} -c {words} {file}"

    def _bytes(self, said: str) -> bytes:
        try:
            if self.format == "raw":
                return base64.b64decode(said)
            return dumped(said)
        except (ValueError, binascii.Error) as error:
            message = f"{self.file}: {error}"
            raise ReadError(message) from error


def dumped(said: str) -> bytes:
    """Return the bytes that `qemu-io`'s `read -v` shows; raises ValueError when it failed."""
    if "read " not in said or "failed" in said:
        raise ValueError(" ".join(said.split())[-200:] or "qemu-io said nothing")
    return bytes.fromhex("".join(DUMP.findall(said)))
