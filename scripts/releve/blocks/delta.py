"""The hash delta: find what differs without a bitmap, then move only that.

For a source that has stopped, or whose bitmap was lost. Either the source is read again over NBD
and hashed here, or its own host hashed it and only a list crosses the wire. Nothing is written
while blocks are compared: those that differ are declared unknown, durably, and are then copied
as a seed copies what it does not know. So a crash at any instant leaves a manifest that is true,
and the next delta begins by comparing again.
"""

from __future__ import annotations

import hashlib
import mmap
import threading
from typing import TYPE_CHECKING, Any

from releve.blocks import crash
from releve.blocks.extents import Extent, Range, pieces
from releve.blocks.manifest import digest
from releve.blocks.pace import Jobs, Meter
from releve.blocks.source import run_threads
from releve.blocks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from releve.blocks.copy import Mover
    from releve.blocks.hashes import Hashed, HashList
    from releve.blocks.source import Source

READERS = 3  # threads that read the target back; more than one keeps disk and processor at work


class Delta:
    """Compares one disk with what the manifest, or the target itself, says of it."""

    def __init__(self, mover: Mover) -> None:
        """Take manifest, volume, journal and options from the mover that will copy."""
        self._mover = mover
        self._manifest = mover.manifest
        self._lock = threading.Lock()
        self.compared = self.differing = 0

    def run(self, address: str, hashes: HashList | None = None) -> dict[str, Any]:
        """Find what differs and copy it; return the counts. Raises HashesError, SourceError."""
        with self._mover.open(address) as source:
            self._mover.journal.add(
                "delta-compares", size=self._manifest.size, by="list" if hashes else "reading"
            )
            if hashes is None:
                self._compare_source(source)
            else:
                self._compare_list(hashes)
            crash.here("marked")
            self._manifest.sync()
            crash.here("intent")
            return self._mover.copy_unknown(
                source, "delta", compared=self.compared, differing=self.differing
            )

    def _compare_source(self, source: Source) -> None:
        """Read the whole source and compare it with the manifest."""
        with Spool(self._manifest.path.parent) as disk:
            disk.fill(self._mover.blocks(source))
            meter = Meter(disk.data)

            def beat() -> None:
                fields = {"read": self.compared, "wrote": 0, "todo": disk.data}
                self._mover.tell("progress", **fields, **meter.say(self.compared))

            jobs = Jobs(self._reads(disk, source.chunk), self._mover.options.limit)
            source.read(jobs, self._compare, beat)

    def _reads(self, disk: Iterable[Extent], longest: int) -> Iterator[Range]:
        for one in disk:
            if one.zero:
                self._differ(self._manifest.not_zeros(Range(one.offset, one.length)))
            else:
                yield from pieces([one], longest)

    def _compare(self, offset: int, view: memoryview) -> None:
        block = self._manifest.block
        digests = [digest(view[start : start + block]) for start in range(0, len(view), block)]
        self._differ(self._manifest.differing(offset, b"".join(digests)), len(view))

    def _differ(self, ranges: Iterable[Range], compared: int = 0) -> None:
        found = list(ranges)
        with self._lock:
            self._manifest.mark_unknown(found)
            self.compared += compared
            self.differing += sum(one.length for one in found)

    def _compare_list(self, hashes: HashList) -> None:
        """Compare the list with the manifest; with the target, where its blocks are larger."""
        jobs = Jobs(iter(hashes))
        meter = Meter(self._manifest.size)

        def beat() -> None:
            fields = {"read": self.compared, "wrote": 0, "todo": self._manifest.size}
            self._mover.tell("progress", **fields, **meter.say(self.compared))

        def work(_number: int) -> None:
            memory = memoryview(mmap.mmap(-1, hashes.block))
            for one in jobs:
                self._differ(self._differing(one, hashes.block, memory), one.length)

        run_threads(READERS, work, jobs.stop, beat)

    def _differing(self, one: Hashed, block: int, memory: memoryview) -> Iterator[Range]:
        where = Range(one.offset, one.length)
        if one.digest is None:
            yield from self._manifest.not_zeros(where)
        elif block == self._manifest.block:
            yield from self._manifest.differing(one.offset, one.digest)
        else:
            view = memory[: one.length]
            self._mover.volume.read_into(view, one.offset)
            if hashlib.sha256(view).digest() != one.digest:
                yield where
