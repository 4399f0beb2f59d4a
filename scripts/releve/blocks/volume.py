"""The volume that is written: a raw file or a block device, past the page cache where it can be."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from typing import TYPE_CHECKING

from releve.blocks.errors import TargetError
from releve.blocks.extents import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTOR_BYTES = 4096  # O_DIRECT takes only multiples of it on any disk
FALLOC_KEEP_SIZE = 1
FALLOC_PUNCH_HOLE = 2
FALLOC_ZERO_RANGE = 16
ZEROS_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Volume:
    """An open volume of at least `size` bytes; every method raises TargetError."""

    def __init__(self, path: str, size: int, *, writable: bool = True) -> None:
        """Open the volume; a file that is shorter than `size` is extended, a device refused."""
        self.path, self.size = path, size
        mode = os.O_CLOEXEC | (os.O_RDWR if writable else os.O_RDONLY)
        try:
            self._plain = os.open(path, mode)
            self._file = stat.S_ISREG(os.fstat(self._plain).st_mode)
            found = os.lseek(self._plain, 0, os.SEEK_END)
            if found < size and self._file and writable:
                os.ftruncate(self._plain, size)
                found = size
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise TargetError(message) from error
        if found < size:
            os.close(self._plain)
            message = f"{path}: {found} bytes, the source has {size}; make it larger"
            raise TargetError(message)
        try:
            self._direct = os.open(path, mode | os.O_DIRECT)
        except OSError:  # a filesystem without O_DIRECT: slower, not wrong
            self._direct = os.dup(self._plain)
        self._zeros = memoryview(mmap.mmap(-1, ZEROS_BYTES))

    def _descriptor(self, offset: int, length: int) -> int:
        whole = offset % SECTOR_BYTES == 0 and length % SECTOR_BYTES == 0
        return self._direct if whole else self._plain

    def write(self, view: memoryview, offset: int) -> None:
        """Write bytes; durable only after `sync`."""
        descriptor = self._descriptor(offset, len(view))
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(descriptor, view[done:], offset + done)
        except OSError as error:
            message = f"{self.path}: write at {offset + done}: {error.strerror}"
            raise TargetError(message) from error

    def punch(self, hole: Range) -> None:
        """Make a range read as zeros, without allocation where the volume can do that."""
        for way in (FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE):
            if _libc.fallocate(self._plain, way | FALLOC_KEEP_SIZE, hole.offset, hole.length) == 0:
                return
            code = ctypes.get_errno()
            if code not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV}:
                message = f"{self.path}: zeros at {hole.offset}: {os.strerror(code)}"
                raise TargetError(message)
        for start in range(hole.offset, hole.end, ZEROS_BYTES):
            self.write(self._zeros[: min(ZEROS_BYTES, hole.end - start)], start)

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill `view` with what the volume holds, from the disk and not from the page cache."""
        descriptor = self._descriptor(offset, len(view))
        done = 0
        try:
            while done < len(view):
                got = os.preadv(descriptor, [view[done:]], offset + done)
                if got <= 0:
                    message = f"{self.path}: it ends at {offset + done}"
                    raise TargetError(message)
                done += got
        except OSError as error:
            message = f"{self.path}: read at {offset + done}: {error.strerror}"
            raise TargetError(message) from error

    def data(self) -> Iterator[Range]:
        """Yield the ranges that may hold data; what is left out reads as zeros."""
        position = 0
        while position < self.size:
            start, end = self._data_after(position) if self._file else (position, self.size)
            if start < end:
                yield Range(start, end - start)
            position = max(end, position + 1)

    def _data_after(self, position: int) -> tuple[int, int]:
        try:
            start = os.lseek(self._plain, position, os.SEEK_DATA)
            return start, min(os.lseek(self._plain, start, os.SEEK_HOLE), self.size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return self.size, self.size
            return position, self.size  # a filesystem that does not tell: all may be data

    def allocated(self) -> int:
        """Return about how many bytes `data` will yield."""
        found = os.fstat(self._plain)
        return min(self.size, found.st_blocks * 512) if self._file else self.size

    def sync(self) -> None:
        """Make all that was written durable, and drop it from the page cache."""
        try:
            os.fsync(self._plain)
        except OSError as error:
            message = f"{self.path}: fsync: {error.strerror}"
            raise TargetError(message) from error
        os.posix_fadvise(self._plain, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Let go of the volume."""
        os.close(self._direct)
        os.close(self._plain)
