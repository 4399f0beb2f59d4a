"""What makes a copy unchangeable on btrfs: the immutable flag and read-only subvolumes.

The flag alone does not hold: `btrfs subvolume delete` takes a subvolume with immutable files in
it, unless the subvolume's own root folder is immutable too; and whoever owns a folder can rename
the subvolumes in it, unless that folder is append-only (each was tried).
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMMUTABLE = 0x10
APPEND_ONLY = 0x20
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_SUBVOL_CREATE, _SUBVOL_GET_FLAGS, _SUBVOL_SET_FLAGS = 0x5000940E, 0x80089419, 0x4008941A
_SUBVOL_READ_ONLY = 1 << 1
_VOL_ARGS = struct.Struct("q4088s")


@contextlib.contextmanager
def opened(path: Path | str, folder: int | None = None) -> Iterator[int]:
    """Open a file or a folder for reading, never through a link; in an open folder if given."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def flags(path: Path) -> int:
    """Return the flags of `lsattr`."""
    value = array.array("L", [0])
    with opened(path) as fd:
        fcntl.ioctl(fd, _GET_FLAGS, value)
    return value[0] & 0xFFFFFFFF


def add_flag(path: Path, flag: int) -> None:
    """Set one flag of `chattr`; needs CAP_LINUX_IMMUTABLE."""
    value = array.array("L", [flags(path) | flag])
    with opened(path) as fd:
        fcntl.ioctl(fd, _SET_FLAGS, value)


def create_subvolume(path: Path) -> None:
    """Make an empty subvolume at `path`."""
    with opened(path.parent) as fd:
        fcntl.ioctl(fd, _SUBVOL_CREATE, bytearray(_VOL_ARGS.pack(0, path.name.encode())))


def is_read_only(path: Path) -> bool:
    """Whether the subvolume at `path` is read-only."""
    value = array.array("Q", [0])
    with opened(path) as fd:
        fcntl.ioctl(fd, _SUBVOL_GET_FLAGS, value)
    return bool(value[0] & _SUBVOL_READ_ONLY)


def set_read_only(path: Path) -> None:
    """Make the subvolume at `path` read-only."""
    with opened(path) as fd:
        fcntl.ioctl(fd, _SUBVOL_SET_FLAGS, struct.pack("Q", _SUBVOL_READ_ONLY))
