"""What an image is made of: layers, the newest first, and the files of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from releve.migrate.errors import MigrateError

SECTOR = 512
DEEPEST = 64  # layers; ESXi allows 32 snapshots, Hyper-V 50


class ImageError(MigrateError):
    """An image that cannot be copied as it is; the message says which file, why, what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run of bytes in a file: the whole of it (`length` None), or a member of an archive."""

    file: str
    offset: int = 0
    length: int | None = None

    @property
    def folder(self) -> str:
        """The folder of the file."""
        return self.file.rpartition("/")[0] or "/"


class Reader(Protocol):
    """Reads files of the source's host, for those who look at headers."""

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Return bytes, less at the end of the file; raises ImageError for one not readable."""

    def size(self, file: str) -> int:
        """Return the size of a file or block device; raises ImageError when it is not there."""

    def device(self, file: str) -> bool:
        """Say whether it is a block device."""

    def exists(self, file: str) -> bool:
        """Say whether it is there."""


@dataclass(frozen=True, slots=True)
class View:
    """One place as a stream of its own, starting at 0."""

    reader: Reader
    place: Place

    @property
    def size(self) -> int:
        """Its length in bytes."""
        if self.place.length is not None:
            return self.place.length
        return self.reader.size(self.place.file) - self.place.offset

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; less at its end."""
        if self.place.length is not None:
            length = max(0, min(length, self.place.length - offset))
        return self.reader.read(self.place.file, self.place.offset + offset, length)

    def whole(self, offset: int, length: int, what: str) -> bytes:
        """Return exactly `length` bytes; raises ImageError when the file ends before."""
        data = self.read(offset, length)
        if len(data) < length:
            message = f"{self.place.file}: it is cut off: its {what} is not all there; copy it anew"
            raise ImageError(message)
        return data


@dataclass(frozen=True, slots=True)
class Piece:
    """One extent of a VMDK: `length` bytes of the guest's disk, kept in `file` from `offset` on."""

    kind: str
    length: int
    file: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One image of a chain; `parent` reads what it does not hold itself.

    `format` is QEMU's name of it. `flat`: the guest's bytes lie in one file as they are. `pieces`:
    a VMDK whose data are in other files. `data_file`: a qcow2 whose data are in another file.
    """

    place: Place
    format: str
    size: int
    flat: Place | None = None
    pieces: tuple[Piece, ...] = ()
    data_file: str = ""
    device: bool = False
    descriptor: str = field(default="", repr=False)
    parent: Layer | None = None

    @property
    def chain(self) -> tuple[Layer, ...]:
        """This layer and all below it."""
        return (self, *(self.parent.chain if self.parent else ()))

    @property
    def files(self) -> tuple[str, ...]:
        """All files that hold something of the disk, each once."""
        names = []
        for layer in self.chain:
            names.append(layer.place.file)
            names += [piece.file for piece in layer.pieces if piece.file]
            names += [layer.data_file] if layer.data_file else []
        return tuple(dict.fromkeys(names))


def beside(place: Place, name: str) -> str:
    """Return a file named in an image: as it stands, or relative to the image's folder."""
    return name if name.startswith("/") else f"{place.folder.rstrip('/')}/{name}"
