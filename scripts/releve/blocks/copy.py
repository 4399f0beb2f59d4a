"""Move blocks: read over NBD, hash, write, and note in the manifest what is durable.

Two rules keep a crash from hiding a wrong block. A round declares the blocks it is about to
change unknown, durably, before it writes the first one. And zeros are always written or punched,
never assumed: a volume may hold what an interrupted run left there.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.blocks import nbd
from releve.blocks.errors import ManifestError, SourceError
from releve.blocks.extents import (
    ALLOCATION,
    BITMAP,
    Range,
    common,
    gaps,
    pieces,
    wanted,
    whole_blocks,
)
from releve.blocks.manifest import digest, zero_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from releve.blocks.journal import Journal
    from releve.blocks.manifest import Manifest
    from releve.blocks.volume import Volume

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """How to move: number of connections, reads in flight on each, bytes of a read, bytes and
    seconds between two checkpoints (what comes first), seconds of silence until the source is
    given up, MiB/s at most (0: no limit).
    """

    connections: int = 4
    depth: int = nbd.DEPTH
    chunk: int = nbd.CHUNK
    checkpoint: int = 128 * MIB
    checkpoint_seconds: float = 5
    stall: float = nbd.STALL_SECONDS
    bandwidth: float = 0


class Jobs:
    """The reads still to be given out, to several threads, not faster than the limit."""

    def __init__(self, ranges: Iterator[Range], bandwidth: float) -> None:
        """`bandwidth` is in MiB/s, 0 for no limit."""
        self._ranges = ranges
        self._lock = threading.Lock()
        self._rate = bandwidth * MIB
        self._next = time.monotonic()
        self._stopped = False

    def stop(self) -> None:
        """Give out nothing any more."""
        self._stopped = True

    def __iter__(self) -> Jobs:
        """Return itself: each thread takes what the others leave."""
        return self

    def __next__(self) -> Range:
        """Return the next read, when the limit lets it start."""
        with self._lock:
            if self._stopped:
                raise StopIteration
            job = next(self._ranges)
            if self._rate:
                time.sleep(max(0.0, self._next - time.monotonic()))
                self._next = max(self._next, time.monotonic() - 1) + job.length / self._rate
            return job


class Mover:
    """Moves one disk to one volume; counts what it reads, writes and zeroes, in bytes."""

    def __init__(
        self,
        volume: Volume,
        manifest: Manifest,
        journal: Journal,
        options: Options,
        tell: Callable[..., None],
    ) -> None:
        """`tell(event, **fields)` is called about once a second while blocks move."""
        self._volume, self._manifest, self._journal = volume, manifest, journal
        self._options, self._tell = options, tell
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._pending: list[tuple[int, bytes]] = []
        self._since = 0
        self._saved_at = time.monotonic()
        self.read = self.wrote = self.zeroed = 0

    def seed(self, address: str) -> dict[str, Any]:
        """Copy every block that the manifest does not know; return the counts.

        The source may be at work: its bitmap must have been recording since before the export.
        """
        handle = self._connect(address, ALLOCATION)
        extents = nbd.extents(handle, ALLOCATION, self._options.stall)
        size, block = self._manifest.size, self._manifest.block
        data = list(whole_blocks(wanted(extents, ALLOCATION), size, block))
        missing = list(self._manifest.unknown())
        todo = list(common(data, missing))
        self._journal.add("seed-started", **self._sizes(data, todo))
        self._zero(list(common(gaps(data, size), missing)))
        self._copy(address, handle, todo)
        kept = sum(one.length for one in data) - sum(one.length for one in todo)
        return self._end("seed-done", extents=len(data), kept=kept)

    def round(self, address: str, bitmap: str) -> dict[str, Any]:
        """Copy the blocks that a bitmap calls dirty, whatever is known of them."""
        context = BITMAP + bitmap
        handle = self._connect(address, context)
        extents = nbd.extents(handle, context, self._options.stall)
        size, block = self._manifest.size, self._manifest.block
        dirty = list(whole_blocks(wanted(extents, context), size, block))
        self._journal.add("round-started", bitmap=bitmap, **self._sizes(dirty, dirty))
        self._manifest.forget(dirty)
        self._copy(address, handle, dirty)
        return self._end("round-done", extents=len(dirty), bitmap=bitmap)

    def _connect(self, address: str, context: str) -> nbd.Handle:
        handle = nbd.connect(address, [context], self._options.stall)
        if handle.get_size() != self._manifest.size:
            message = (
                f"{address}: {handle.get_size()} bytes, the manifest is of {self._manifest.size};"
                " the disk was resized: begin anew"
            )
            raise SourceError(message)
        return handle

    def _sizes(self, all_: list[Range], todo: list[Range]) -> dict[str, int]:
        return {
            "size": self._manifest.size,
            "data": sum(one.length for one in all_),
            "todo": sum(one.length for one in todo),
        }

    def _end(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
        if left := sum(one.length for one in self._manifest.unknown()):
            message = f"{left} bytes of the disk were never copied; seed before a round"
            raise ManifestError(message)
        counts = {"read": self.read, "wrote": self.wrote, "zeroed": self.zeroed, **fields}
        self._journal.add(event, **counts)
        return counts

    def _zero(self, holes: list[Range]) -> None:
        for hole in pieces(holes, nbd.STATUS_SPAN):
            self._volume.punch(hole)
            self.zeroed += hole.length
        self._volume.sync()
        self._manifest.put_zeros(holes)
        self._manifest.sync()

    def _copy(self, address: str, handle: nbd.Handle, ranges: list[Range]) -> None:
        total = sum(one.length for one in ranges)
        jobs = Jobs(pieces(ranges, self._options.chunk), self._options.bandwidth)
        count = self._options.connections if handle.can_multi_conn() else 1
        handles = [handle]
        handles += [nbd.connect(address, (), self._options.stall) for _ in range(count - 1)]
        try:
            with concurrent.futures.ThreadPoolExecutor(count) as pool:
                try:
                    self._watch([pool.submit(self._work, one, jobs) for one in handles], total)
                finally:
                    jobs.stop()
        finally:
            self._checkpoint()
        for one in handles:
            nbd.close(one)

    def _watch(self, futures: list[concurrent.futures.Future[None]], total: int) -> None:
        waiting = set(futures)
        while waiting:
            done, waiting = concurrent.futures.wait(
                waiting, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED
            )
            self._tell("progress", read=self.read, wrote=self.wrote, todo=total)
            for future in done:
                future.result()

    def _work(self, handle: nbd.Handle, jobs: Jobs) -> None:
        options = self._options
        for offset, view in nbd.read(
            handle, jobs, longest=options.chunk, depth=options.depth, stall=options.stall
        ):
            self._store(offset, view)

    def _store(self, offset: int, view: memoryview) -> None:
        block = self._manifest.block
        digests = [digest(view[start : start + block]) for start in range(0, len(view), block)]
        wrote = zeroed = 0
        for start, end, zero in _runs(digests, len(view), block):
            if zero:
                self._volume.punch(Range(offset + start, end - start))
                zeroed += end - start
            else:
                self._volume.write(view[start:end], offset + start)
                wrote += end - start
        with self._lock:
            self._pending.append((offset // block, b"".join(digests)))
            self.read += len(view)
            self.wrote += wrote
            self.zeroed += zeroed
            self._since += len(view)
            old = time.monotonic() - self._saved_at >= self._options.checkpoint_seconds
            due = old or self._since >= self._options.checkpoint
            if due:
                self._since, self._saved_at = 0, time.monotonic()
        if due:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Make the target durable first, then the entries that speak of it."""
        with self._saving:
            with self._lock:
                entries, self._pending = self._pending, []
                read = self.read
            self._volume.sync()
            for first, digests in entries:
                self._manifest.put(first, digests)
            self._manifest.sync()
            self._journal.add("checkpoint", read=read)


def _runs(digests: list[bytes], length: int, block: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, zero) for runs of blocks that are all zeros or all not."""
    start = 0
    state: bool | None = None
    for index, found in enumerate(digests):
        place = index * block
        zero = found == zero_digest(min(block, length - place))
        if state is not None and zero != state:
            yield start, place, state
            start = place
        state = zero
    if state is not None:
        yield start, length, state
