"""Move blocks: read over NBD, hash, write, and note in the manifest what is durable.

Two rules keep a crash from hiding a wrong block. Blocks that are about to change are declared
unknown, durably, before the first one is written: so seed, round and delta differ only in what
they declare unknown, and then all copy what is unknown. And zeros are always written or punched,
never assumed: a volume may hold what an interrupted run left there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from releve.blocks import crash, nbd
from releve.blocks.check import check_target
from releve.blocks.errors import DifferenceError, ManifestError, SourceError, TargetError
from releve.blocks.extents import ALLOCATION, BITMAP, Range, common, pieces, whole_blocks
from releve.blocks.manifest import digest, zero_digest
from releve.blocks.pace import Jobs, Meter
from releve.blocks.source import Options, Source
from releve.blocks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from releve.blocks.extents import Extent
    from releve.blocks.journal import Journal
    from releve.blocks.manifest import Manifest
    from releve.blocks.volume import Volume

PENDING = 8192  # reads and holes between two checkpoints, at most: they are kept in memory


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
        self.volume, self.manifest, self.journal = volume, manifest, journal
        self.options, self.tell = options, tell
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._pending: list[tuple[Range, bytes]] = []
        self._since = 0
        self._target_failed = False
        self._saved_at = time.monotonic()
        self._begun = time.monotonic()
        self.read = self.wrote = self.zeroed = 0

    def seed(self, address: str) -> dict[str, Any]:
        """Copy every block that the manifest does not know; return the counts.

        The source may be at work: its bitmap must have been recording since before the export.
        """
        with self.open(address) as source:
            return self.copy_unknown(source, "seed")

    def round(self, address: str, bitmap: str) -> dict[str, Any]:
        """Copy the blocks that a bitmap calls dirty, whatever is known of them."""
        with (
            self.open(address, BITMAP + bitmap) as source,
            Spool(self.manifest.path.parent) as todo,
        ):
            todo.fill(one for one in self.blocks(source) if one.dirty)
            self._start("round", todo, data=todo.data + todo.zeros, bitmap=bitmap)
            self.manifest.forget(todo)
            crash.here("intent")
            self._copy(source, todo)
            return self._end("round", todo, bitmap=bitmap)

    def open(self, address: str, *contexts: str) -> Source:
        """Connect to the source; raise SourceError when it has not the manifest's size."""
        source = Source(
            address,
            self.options,
            block=self.manifest.block,
            contexts=contexts,
            optional=(ALLOCATION,),
        )
        if source.size != self.manifest.size:
            source.close()
            message = (
                f"{address}: {source.size} bytes, the manifest is of {self.manifest.size};"
                " the disk was resized: begin anew"
            )
            raise SourceError(message)
        return source

    def blocks(self, source: Source) -> Iterator[Extent]:
        """Yield the source's extents, cut at the manifest's blocks."""
        return whole_blocks(source.extents(self._looks), self.manifest.size, self.manifest.block)

    def _looks(self) -> None:
        """Say that the disk is being described, nothing moves yet: silence means a dead worker."""
        self.tell("progress", read=0, wrote=0, todo=0, rate=0, eta=None, downtime=None)

    def copy_unknown(self, source: Source, verb: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
        """Copy what the manifest does not know; `fields` go to the journal and the counts."""
        folder = self.manifest.path.parent
        with Spool(folder) as disk, Spool(folder) as todo:
            disk.fill(self.blocks(source))
            todo.fill(common(disk, self.manifest.unknown()), self._looks)
            self._start(verb, todo, data=disk.data, **fields)
            self._copy(source, todo)
            return self._end(verb, todo, kept=disk.data - todo.data, **fields)

    def _start(self, verb: str, todo: Spool, **fields: Any) -> None:  # noqa: ANN401  # JSON values
        self.journal.add(f"{verb}-started", size=self.manifest.size, todo=todo.data, **fields)

    def _end(self, verb: str, todo: Spool, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON values
        if left := sum(one.length for one in self.manifest.unknown()):
            message = f"{left} bytes of the disk were never copied; seed before a {verb}"
            raise ManifestError(message)
        crash.here("copied")
        seconds = time.monotonic() - self._begun
        if self.options.read_back:
            fields["read_back"] = self._read_back(todo)
        counts = {
            "read": self.read,
            "wrote": self.wrote,
            "zeroed": self.zeroed,
            "extents": todo.count,
            "rate": round(self.read / max(seconds, 1e-3)),
            **fields,
        }
        self.journal.add(f"{verb}-done", **counts)
        return counts

    def _read_back(self, todo: Spool) -> int:
        """Compare what was just written with the manifest; return the number of blocks."""
        verdict = check_target(self.volume, self.manifest, self.tell, todo)
        if verdict.bad:
            message = (
                f"{self.volume.path}: {verdict.bad} of {verdict.blocks} blocks that were just"
                f" written differ, at bytes {', '.join(map(str, verdict.first))}"
            )
            raise DifferenceError(message)
        return verdict.blocks

    def _copy(self, source: Source, todo: Spool) -> None:
        self._begun = time.monotonic()
        meter = Meter(todo.data)

        def beat() -> None:
            fields = {"read": self.read, "wrote": self.wrote, "todo": todo.data}
            self.tell("progress", **fields, **meter.say(self.read))

        jobs = Jobs(self._reads(todo, source.chunk), self.options.limit)
        try:
            source.read(jobs, self._store, beat)
        finally:
            self._checkpoint()

    def _reads(self, todo: Iterable[Extent], longest: int) -> Iterator[Range]:
        """Yield what is to be read; make the zeros on the way."""
        span = max(1, nbd.STATUS_SPAN // self.manifest.block) * self.manifest.block
        for one in todo:
            if not one.zero:
                yield from pieces([one], longest)
                continue
            for hole in pieces([one], span):
                self.volume.punch(hole)
                crash.here("punched")
                self._note(hole, b"", zeroed=hole.length)

    def _store(self, offset: int, view: memoryview) -> None:
        block = self.manifest.block
        digests = [digest(view[start : start + block]) for start in range(0, len(view), block)]
        wrote = 0
        for start, end, zero in _runs(digests, len(view), block):
            if zero:
                self.volume.punch(Range(offset + start, end - start))
            else:
                self.volume.write(view[start:end], offset + start)
                wrote += end - start
        crash.here("written")
        self._note(
            Range(offset, len(view)),
            b"".join(digests),
            read=len(view),
            wrote=wrote,
            zeroed=len(view) - wrote,
        )

    def _note(
        self, where: Range, digests: bytes, *, read: int = 0, wrote: int = 0, zeroed: int = 0
    ) -> None:
        """Remember what the target holds since now (no digests: zeros); save it when it is due."""
        with self._lock:
            self._pending.append((where, digests))
            self.read += read
            self.wrote += wrote
            self.zeroed += zeroed
            self._since += read
            due = (
                self._since >= self.options.checkpoint
                or len(self._pending) >= PENDING
                or time.monotonic() - self._saved_at >= self.options.checkpoint_seconds
            )
            if due:
                self._since, self._saved_at = 0, time.monotonic()
        if due:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Make the target durable first, then the entries that speak of it.

        Linux tells only once that a write failed: after that nothing is believed any more.
        """
        with self._saving:
            if self._target_failed:
                return
            with self._lock:
                entries, self._pending = self._pending, []
                read = self.read
            try:
                self.volume.sync()
            except TargetError:
                self._target_failed = True
                raise
            crash.here("synced")
            for where, digests in entries:
                if digests:
                    self.manifest.put(where.offset // self.manifest.block, digests)
                else:
                    self.manifest.put_zeros([where])
            crash.here("put")
            self.manifest.sync()
            crash.here("noted")
            self.journal.add("checkpoint", read=read)


def _runs(digests: list[bytes], length: int, block: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, all zeros) of the longest runs of blocks that are alike in that."""
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
