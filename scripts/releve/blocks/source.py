"""An export read over several connections into one piece of memory."""

from __future__ import annotations

import concurrent.futures
import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from releve.blocks import nbd
from releve.blocks.errors import SourceError
from releve.blocks.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from releve.blocks.extents import Extent, Range
    from releve.blocks.pace import Jobs

MIB = 1 << 20
MEMORY_BYTES = 32 * MIB  # of all buffers together
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to move: number of connections, reads in flight on each, bytes of a read, bytes and
    seconds between two checkpoints (what comes first), seconds of silence until the source is
    given up, how fast at most, and whether what was written is read back at the end.
    """

    connections: int = 4
    depth: int = nbd.DEPTH
    chunk: int = nbd.CHUNK
    checkpoint: int = 512 * MIB
    checkpoint_seconds: float = 5
    stall: float = nbd.STALL_SECONDS
    limit: Schedule = field(default_factory=Schedule)
    read_back: bool = False


class Source:
    """An export, open; `size` is in bytes. Every method raises SourceError."""

    def __init__(
        self,
        address: str,
        options: Options,
        *,
        block: int,
        contexts: tuple[str, ...] = (),
        optional: tuple[str, ...] = (),
    ) -> None:
        """Connect once; `block` is what every read is a multiple of."""
        self.address, self._options = address, options
        self.chunk = max(1, options.chunk // block) * block
        self._first = nbd.connect(address, contexts, options.stall, optional=optional)
        self._contexts = contexts + optional
        self.size: int = self._first.get_size()

    def extents(self, beat: Callable[[], None] = nbd.nothing) -> Iterator[Extent]:
        """Yield the whole disk as the contexts describe it; come to its end before any `read`.

        `beat` is called now and then: a large disk in small pieces takes minutes to describe.
        """
        return nbd.extents(self._first, self._contexts, self._options.stall, beat)

    def read(
        self,
        jobs: Jobs[Range],
        take: Callable[[int, memoryview], None],
        beat: Callable[[], None],
    ) -> None:
        """Read all jobs, each at most `chunk` bytes; call `take` in any thread for each.

        `beat` is called about once a second in the caller's thread. A server that does not say
        that its connections see the same disk gets only one.
        """
        options = self._options
        count = options.connections if self._first.can_multi_conn() else 1
        room = max(1, MEMORY_BYTES // self.chunk)
        count = min(count, room)
        # a thread that waits for the limit's leave to read on must not sit on what it has
        depth = 1 if options.limit.windows else min(options.depth, room // count)
        each = nbd.buffer_bytes(self.chunk, depth)
        memory = memoryview(mmap.mmap(-1, each * count))
        handles = [self._first] + [self._another() for _ in range(count - 1)]

        def work(number: int) -> None:
            for offset, view in nbd.read(
                handles[number],
                jobs,
                longest=self.chunk,
                depth=depth,
                stall=options.stall,
                memory=memory[number * each : (number + 1) * each],
            ):
                take(offset, view)

        try:
            run_threads(count, work, jobs.stop, beat)
        finally:
            for handle in handles[1:]:
                nbd.close(handle)

    def _another(self) -> nbd.Handle:
        handle = nbd.connect(self.address, (), self._options.stall)
        if handle.get_size() != self.size:
            message = (
                f"{self.address}: {handle.get_size()} bytes on one connection,"
                f" {self.size} on another; was the disk resized?"
            )
            raise SourceError(message)
        return handle

    def close(self) -> None:
        """Close the connection at once."""
        nbd.close(self._first)
        self._first = None  # an old libnbd closes only when nobody holds the handle

    def __enter__(self) -> Self:
        """Return the open source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, whatever happened."""
        self.close()


def run_threads(
    count: int,
    work: Callable[[int], None],
    stop: Callable[[], None],
    beat: Callable[[], None],
) -> None:
    """Run `work(number)` in so many threads; the first failure stops them all and is raised."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        waiting = {pool.submit(work, number) for number in range(count)}
        try:
            while waiting:
                done, waiting = concurrent.futures.wait(
                    waiting,
                    timeout=BEAT_SECONDS,
                    return_when=concurrent.futures.FIRST_COMPLETED,
                )
                beat()
                for future in done:
                    future.result()
        finally:
            stop()
