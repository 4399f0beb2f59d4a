"""On a receiver with a grant: bring a copy back into volumes, and say whether it is the copy.

Nothing is believed that was not computed here: the lists of hashes are made anew from the blocks
that arrive, and from the volume once it is written, and compared with the copy's manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.vault.send import connected
from releve.vault.store import MANIFEST, blocks_of_image, line_of
from releve.vault.wire import BLOCK, HELLO, Block, DiskSize, Reader, WireError, disks_of

if TYPE_CHECKING:
    from pathlib import Path

    from releve.vault.sender import Settings

LARGEST = 1 << 50
FRESH_BYTES = 1 << 20
"""A new file may hold a little already: QEMU's tools write its first sector."""


@dataclass(slots=True)
class Sums:
    """The sha256 of an image, and of the list of its blocks, made in one pass in order."""

    image: Any = field(default_factory=hashlib.sha256)
    blocks: Any = field(default_factory=hashlib.sha256)

    def add(self, data: bytes, digest: bytes | None = None) -> None:
        """Take the next block."""
        self.image.update(data)
        self.blocks.update(line_of(digest or hashlib.sha256(data).digest()))

    def told(self) -> dict[str, str]:
        """Return both sums."""
        return {"image": self.image.hexdigest(), "blocks": self.blocks.hexdigest()}


def peek(settings: Settings, number: int | None) -> dict[str, Any]:
    """Return what a copy says of itself (its text files and disks), without reading its disks."""
    with connected(settings.ssh(settings.restore_user, _command(number))) as (_out, reader):
        words = reader.words(HELLO)
    disks_of(words, LARGEST)
    return words


def fetch(settings: Settings, number: int | None, targets: dict[str, Path]) -> dict[str, Any]:
    """Write a copy's disks into `targets` (name -> file or device) and return what was found.

    `faults` names all that is not as the manifest says; it is empty when the volumes hold the
    copy. Raises WireError or Refusal when the copy does not come, OSError when it cannot be kept.
    """
    with connected(settings.ssh(settings.restore_user, _command(number))) as (_out, reader):
        words = reader.words(HELLO)
        disks = disks_of(words, LARGEST)
        if {disk.name for disk in disks} != set(targets):
            names = ", ".join(disk.name for disk in disks)
            message = f"the copy has the disks {names}: name a target for each"
            raise WireError(message)
        reader.expect(disks)
        arrived = _write_all(reader, disks, targets)
    written = {disk.name: _read_back(targets[disk.name], disk) for disk in disks}
    bad = faults(words["files"], arrived)
    return {
        "facts": {} if bad else json.loads(words["files"]["copy.json"]),
        "faults": bad,
        "written": written == arrived,
        "bytes": sum(disk.size for disk in disks),
    }


def faults(files: dict[str, str], sums: dict[str, dict[str, str]]) -> list[str]:
    """Return what is not as the manifest says, one sentence each."""
    lines = [line.partition("  ") for line in files[MANIFEST].splitlines()]
    stated = {name: digest for digest, _, name in lines}
    found = {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in files.items()
        if name != MANIFEST
    }
    for disk, one in sums.items():
        found |= {f"{disk}.raw": one["image"], f"{disk}.blocks": one["blocks"]}
    bad = [f"{name} is not in the manifest" for name in sorted(found.keys() - stated.keys())]
    bad += [f"{name} did not come" for name in sorted(stated.keys() - found.keys())]
    wrong = {name for name in found.keys() & stated.keys() if found[name] != stated[name]}
    # A list is made here from its image: when both differ it is the image that was altered.
    wrong -= {name.replace(".raw", ".blocks") for name in wrong if name.endswith(".raw")}
    bad += [f"{name} is not what was sealed" for name in sorted(wrong)]
    return bad


def _write_all(
    reader: Reader, disks: tuple[DiskSize, ...], targets: dict[str, Path]
) -> dict[str, dict[str, str]]:
    """Write all blocks, which come in order and without a gap, and return the sums."""
    fds = [os.open(targets[disk.name], os.O_WRONLY | os.O_CLOEXEC) for disk in disks]
    fresh = [_is_fresh(fd, disk.size) for fd, disk in zip(fds, disks, strict=True)]
    sums = [Sums() for _ in disks]
    counts = [0] * len(disks)
    try:
        for item in reader.changes():
            if not isinstance(item, Block):
                break
            disk = disks[item.disk]
            if item.index != counts[item.disk]:
                message = f"disk {disk.name}: block {counts[item.disk]} did not come"
                raise WireError(message)
            counts[item.disk] += 1
            data = item.data or bytes(disk.length(item.index))
            sums[item.disk].add(data, item.digest)
            if item.data is not None or not fresh[item.disk]:
                os.pwrite(fds[item.disk], data, item.index * BLOCK)
        for fd in fds:
            os.fsync(fd)
    finally:
        for fd in fds:
            os.close(fd)
    if counts != [disk.blocks for disk in disks]:
        message = "the copy ended before all of its blocks had come"
        raise WireError(message)
    return {disk.name: one.told() for disk, one in zip(disks, sums, strict=True)}


def _is_fresh(fd: int, size: int) -> bool:
    """Whether this is a new, sparse file: zeros need no writing there (they are read back)."""
    found = os.fstat(fd)
    fresh = stat.S_ISREG(found.st_mode) and found.st_blocks * 512 <= FRESH_BYTES
    if fresh and found.st_size < size:
        os.ftruncate(fd, size)
    return fresh


def _read_back(target: Path, disk: DiskSize) -> dict[str, str]:
    fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # What is still in memory proves nothing about the disk.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        sums = Sums()
        for block in blocks_of_image(fd, disk.size):
            sums.add(block)
    finally:
        os.close(fd)
    return sums.told()


def _command(number: int | None) -> str:
    return "get" if number is None else f"get {number}"
