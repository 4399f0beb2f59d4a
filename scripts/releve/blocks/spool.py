"""A list of extents in a file: what is to be done may be longer than memory allows."""

from __future__ import annotations

import tempfile
from array import array
from typing import TYPE_CHECKING, Self

from releve.blocks.extents import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

WORDS = 2  # of one extent: offset, length * 2 + zero
BATCH = 8192  # extents read or written at a time, 128 KiB


class Spool:
    """Extents written once and read as often as wanted; `data` and `zeros` are sums in bytes."""

    def __init__(self, folder: Path) -> None:
        """Make an unnamed file in `folder`: it is gone with the process."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `close`
        self._batch = array("Q")
        self.count = self.data = self.zeros = 0

    def fill(self, extents: Iterable[Extent], beat: Callable[[], None] | None = None) -> Self:
        """Append extents; return the spool. `beat` is called after each batch."""
        for one in extents:
            self._batch.extend((one.offset, one.length << 1 | one.zero))
            self.count += 1
            if one.zero:
                self.zeros += one.length
            else:
                self.data += one.length
            if len(self._batch) >= WORDS * BATCH:
                self._flush()
                if beat:
                    beat()
        self._flush()
        return self

    def _flush(self) -> None:
        self._file.write(self._batch.tobytes())
        self._batch = array("Q")

    def __iter__(self) -> Iterator[Extent]:
        """Yield the extents in the order in which they came."""
        size = array("Q").itemsize * WORDS * BATCH
        self._file.seek(0)
        while data := self._file.read(size):
            words = array("Q", data)
            for place in range(0, len(words), WORDS):
                yield Extent(words[place], words[place + 1] >> 1, zero=bool(words[place + 1] & 1))

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the space back, whatever happened."""
        self.close()
