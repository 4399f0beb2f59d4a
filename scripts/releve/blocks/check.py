"""Compare what a disk holds with its manifest: the target read back, or the source read again."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.blocks import nbd
from releve.blocks.extents import ALLOCATION, Range, gaps, pieces, whole_blocks
from releve.blocks.manifest import DIGEST_BYTES, SCAN_ENTRIES, digest, zero_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.blocks.manifest import Manifest
    from releve.blocks.volume import Volume

NAMED = 10  # offsets of wrong blocks that a verdict names


@dataclass(slots=True)
class Verdict:
    """How many blocks were compared and are wrong, the first wrong offsets, bytes read."""

    blocks: int = 0
    bad: int = 0
    first: list[int] = field(default_factory=list)
    read: int = 0

    def compare(self, manifest: Manifest, offset: int, view: memoryview) -> None:
        """Compare a run of whole blocks with the manifest."""
        block = manifest.block
        count = -(-len(view) // block)
        expected = manifest.entries(offset // block, count)
        self.read += len(view)
        for number in range(count):
            entry = expected[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            self._note(
                entry == digest(view[number * block : (number + 1) * block]),
                offset + number * block,
            )

    def compare_zeros(self, manifest: Manifest, hole: Range) -> None:
        """Compare a run of whole blocks that read as zeros with the manifest."""
        block = manifest.block
        for piece in pieces([hole], SCAN_ENTRIES * block):
            count = -(-piece.length // block)
            expected = manifest.entries(piece.offset // block, count)
            for number in range(count):
                offset = piece.offset + number * block
                entry = expected[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
                self._note(entry == zero_digest(min(block, manifest.size - offset)), offset)

    def _note(self, good: bool, offset: int) -> None:
        self.blocks += 1
        if not good:
            self.bad += 1
            if len(self.first) < NAMED:
                self.first.append(offset)


def check_target(
    volume: Volume, manifest: Manifest, tell: Callable[..., None], chunk: int = nbd.CHUNK
) -> Verdict:
    """Read the volume back, from its disk, and compare every block; unknown ones are wrong."""
    verdict = Verdict()
    volume.sync()
    ranges = list(whole_blocks(volume.data(), manifest.size, manifest.block))
    for hole in gaps(ranges, manifest.size):
        verdict.compare_zeros(manifest, hole)
    memory = memoryview(mmap.mmap(-1, chunk))
    todo = sum(one.length for one in ranges)
    for piece in pieces(ranges, chunk):
        volume.read_into(memory[: piece.length], piece.offset)
        verdict.compare(manifest, piece.offset, memory[: piece.length])
        tell("progress", read=verdict.read, todo=todo)
    return verdict


def check_source(
    address: str,
    manifest: Manifest,
    tell: Callable[..., None],
    stall: float = nbd.STALL_SECONDS,
) -> Verdict:
    """Read the whole source again over NBD and compare every block with the manifest."""
    verdict = Verdict()
    for change in nbd.changed_blocks(address, ALLOCATION, manifest.block, stall=stall):
        if change.offset + change.length > manifest.size:
            verdict.bad += 1
            verdict.first.append(change.offset)
            break
        if change.data is None:
            verdict.compare_zeros(manifest, Range(change.offset, change.length))
        else:
            verdict.compare(manifest, change.offset, change.data)
        tell("progress", read=verdict.read, todo=manifest.size)
    if verdict.blocks != manifest.count and not verdict.bad:
        verdict.bad = manifest.count - verdict.blocks
    return verdict
