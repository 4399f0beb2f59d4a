"""Read a guest of which there are image files: their headers, and what lies on the flat ones."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.readers import SshReader
from releve.migrate.preflight.facts import DiskFacts, Layer, SourceFacts
from releve.migrate.preflight.reader import PIECE, PieceReader
from releve.migrate.preflight.windows import SystemDisk, look_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.images.model import Layer as Image
    from releve.migrate.images.model import Place
    from releve.migrate.sources.base import SourceDisk
    from releve.migrate.sources.files_source import FilesSource
    from releve.ssh import Ssh

STAT_UNIT = 512


def collect_files(source: FilesSource) -> SourceFacts | None:
    """Return the guest as its files show it; None when they are fenced. Raises ReleveError."""
    guest = source.look()
    if guest is None:
        return None
    images = source.layers
    taken = allocated_of(source.ssh, [file for image in images.values() for file in image.files])
    return SourceFacts(
        state=guest.state,
        macs=guest.macs,
        disks=tuple(_disk(disk, images[disk.name], taken, source) for disk in guest.disks),
        rung=source.rung,
        files=True,
        systems=tuple(systems_of(source.ssh, images)),
    )


def _disk(disk: SourceDisk, image: Image, taken: dict[str, int], source: FilesSource) -> DiskFacts:
    layers = tuple(
        Layer(
            layer.place.file,
            layer.format,
            layer.size,
            allocated=_allocated(layer, taken),
            backing=None if layer.parent is None else layer.parent.place.file,
        )
        for layer in image.chain
    )
    return DiskFacts(
        disk.name,
        "",
        disk.format,
        disk.file,
        layers,
        flat=image.flat is not None,
        hashed=source.can_hash(disk.name),
        frozen=source.frozen.get(disk.name, ""),
    )


def _allocated(layer: Image, taken: dict[str, int]) -> int | None:
    """Return what one layer holds of the guest's disk, at most its size."""
    if layer.device:
        return layer.size
    names = {layer.place.file, layer.data_file, *(piece.file for piece in layer.pieces)} - {""}
    if not names <= taken.keys():
        return None
    found = sum(taken[name] for name in names)
    if layer.place.length is not None:
        found = min(found, layer.place.length)  # a member of an archive
    return min(found, layer.size)


def allocated_of(ssh: Ssh, files: list[str]) -> dict[str, int]:
    """Return file -> bytes that it takes at its host."""
    names = list(dict.fromkeys(files))
    line = f"stat -L -c '%b %n' {' '.join(map(shlex.quote, names))}"
    rows = (row.partition(" ") for row in ssh.run(line, check=False).stdout.splitlines())
    return {name: int(count) * STAT_UNIT for count, _space, name in rows if count.isdigit()}


@dataclass(slots=True)
class FlatReader(PieceReader):
    """The bytes of an image that lie in one file as they are."""

    files: SshReader | None = None
    place: Place | None = None
    size: int = 0

    def piece(self, number: int) -> bytes:
        """See `PieceReader`."""
        if self.files is None or self.place is None:
            return b""
        at = number * PIECE
        length = max(0, min(PIECE, self.size - at))
        return self.files.read(self.place.file, self.place.offset + at, length)


def systems_of(ssh: Ssh, images: dict[str, Image]) -> Iterator[SystemDisk]:
    """Yield what lies on each disk; an image that is not flat can only be read by its node."""
    for name, image in images.items():
        if image.flat is None:
            why = f"{image.place.file} is no flat image: it is not read before the move"
            yield SystemDisk(name, error=why)
        else:
            files = SshReader(ssh)
            yield look_at(name, FlatReader(files=files, place=image.flat, size=image.size))
