"""Compare what a disk holds with its manifest: the target read back, or the source read again."""

from __future__ import annotations

import mmap
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.blocks import nbd
from releve.blocks.errors import SourceError
from releve.blocks.extents import ALLOCATION, Extent, Range, common, filled, pieces, whole_blocks
from releve.blocks.manifest import digest
from releve.blocks.pace import Jobs, Meter
from releve.blocks.source import Options, Source, run_threads
from releve.blocks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from releve.blocks.manifest import Manifest
    from releve.blocks.volume import Volume

NAMED = 10  # offsets of wrong blocks that a verdict names
READERS = min(8, len(os.sched_getaffinity(0)) + 1)  # one waits for the disk, the others hash


@dataclass(slots=True)
class Verdict:
    """How many blocks were compared and are wrong, the first wrong offsets, bytes read."""

    blocks: int = 0
    bad: int = 0
    first: list[int] = field(default_factory=list)
    read: int = 0


class Check:
    """Compares runs of whole blocks with a manifest, from several threads."""

    def __init__(self, manifest: Manifest) -> None:
        """Begin with nothing compared."""
        self.verdict = Verdict()
        self._manifest = manifest
        self._lock = threading.Lock()

    def reads(self, disk: Iterable[Extent], longest: int) -> Iterator[Range]:
        """Yield the pieces of a disk that must be read; compare its zeros on the way."""
        for one in disk:
            if one.zero:
                hole = Range(one.offset, one.length)
                self._note(hole, 0, self._manifest.not_zeros(hole))
            else:
                yield from pieces([one], longest)

    def take(self, offset: int, view: memoryview) -> None:
        """Compare what was read."""
        block = self._manifest.block
        digests = [digest(view[start : start + block]) for start in range(0, len(view), block)]
        differing = self._manifest.differing(offset, b"".join(digests))
        self._note(Range(offset, len(view)), len(view), differing)

    def _note(self, where: Range, read: int, wrong: Iterator[Range]) -> None:
        with self._lock:
            self.verdict.blocks += -(-where.length // self._manifest.block)
            self.verdict.read += read
            for one in wrong:
                self.verdict.bad += 1
                self.verdict.first = sorted([*self.verdict.first, one.offset])[:NAMED]


def check_target(
    volume: Volume,
    manifest: Manifest,
    tell: Callable[..., None],
    within: Iterable[Range | Extent] | None = None,
) -> Verdict:
    """Read the volume back, from its disk, and compare every block; unknown ones are wrong.

    With `within` only those whole blocks are read, in ascending order.
    """
    check = Check(manifest)
    volume.sync()
    chunk = max(1, nbd.CHUNK // manifest.block) * manifest.block
    disk = whole_blocks(filled(volume.data(), manifest.size), manifest.size, manifest.block)
    if within is not None:
        disk = common(disk, within)
    jobs = Jobs(check.reads(disk, chunk))
    meter = Meter(volume.allocated())

    def work(_number: int) -> None:
        memory = memoryview(mmap.mmap(-1, chunk))
        for job in jobs:
            view = memory[: job.length]
            volume.read_into(view, job.offset)
            check.take(job.offset, view)

    def beat() -> None:
        read = check.verdict.read
        tell("progress", read=read, todo=meter.todo, **meter.say(read))

    run_threads(READERS, work, jobs.stop, beat)
    return check.verdict


def check_source(
    address: str, manifest: Manifest, tell: Callable[..., None], options: Options
) -> Verdict:
    """Read the whole source again over NBD and compare every block with the manifest."""
    check = Check(manifest)
    with (
        Source(address, options, block=manifest.block, optional=(ALLOCATION,)) as source,
        Spool(manifest.path.parent) as disk,
    ):
        if source.size != manifest.size:
            message = f"{address}: {source.size} bytes, the manifest is of {manifest.size}"
            raise SourceError(message)

        def looks() -> None:
            tell("progress", read=0, todo=0, rate=0, eta=None, downtime=None)

        disk.fill(whole_blocks(source.extents(looks), manifest.size, manifest.block))
        meter = Meter(disk.data)

        def beat() -> None:
            read = check.verdict.read
            tell("progress", read=read, todo=meter.todo, **meter.say(read))

        source.read(Jobs(check.reads(disk, source.chunk), options.limit), check.take, beat)
    return check.verdict
