"""Measure the block mover beside nbdcopy, qemu-img and rsync: `python -m tests.bench`.

All figures come from one run on one machine, engines interleaved in random order, and the page
`docs/explanation/performance.md` with its chart is written by this script and by nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.page import SMALL, Figures, write
from tests.bench.rig import MIB, Rig, make_disk

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
GIB = 1 << 30
DIRTY_WRITES = 64  # of 256 KiB between the seed and the last round


def say(text: str) -> None:
    """Tell a person what is measured now."""
    sys.stderr.write(f"bench: {text}\n")


def throughput(rig: Rig, size: int, runs: int, figures: Figures) -> None:
    """Copy one disk by every engine, several times in random order."""
    disk = make_disk(rig.folder / "source.raw", size, size * 5 // 8)
    with rig.serve(disk) as uri:
        engines: dict[str, Callable[[], float]] = {
            "releve": lambda: rig.seed(uri).seconds,
            "nbdcopy": lambda: rig.nbdcopy(uri, size),
            "qemu-img convert": lambda: rig.convert(uri),
            "rsync": lambda: rig.rsync(disk),
        }
        times: dict[str, list[float]] = {name: [] for name in engines}
        for number in range(runs):
            order = list(engines)
            random.shuffle(order)
            for name in order:
                say(f"copy {number + 1}/{runs}: {name}")
                times[name].append(engines[name]())
        data = size * 5 // 8
        figures.data_mib = data / MIB
        figures.copies = {
            name: [data / MIB / one for one in seconds] for name, seconds in times.items()
        }
        verify(rig, uri, disk, runs, figures)
        resume(rig, uri, figures)


def verify(rig: Rig, uri: str, disk: Path, runs: int, figures: Figures) -> None:
    """Read a copy back: against the manifest, and by `qemu-img compare` against its source."""
    rig.seed(uri)
    ours, theirs = [], []
    for number in range(runs):
        say(f"verify {number + 1}/{runs}")
        ours.append(rig.verify().seconds)
        theirs.append(rig.compare(disk))
    figures.verify = (statistics.median(ours), statistics.median(theirs))


def resume(rig: Rig, uri: str, figures: Figures) -> None:
    """Kill a seed in the middle, go on, and count the bytes read again."""
    say("resume")
    whole = rig.seed(uri)
    rig.seed(uri, crash="noted:6", checkpoint=64)
    rest = rig.seed(uri, fresh=False)
    figures.resume = (rest.counts["kept"], rest.counts["read"], whole.counts["read"])


def latency(rig: Rig, size: int, runs: int, figures: Figures) -> None:
    """Copy over a server that answers each read 2 ms late."""
    disk = make_disk(rig.folder / "late.raw", size, size)
    for delay in (0, 2):
        with rig.serve_late(disk, delay) as uri:
            ours, theirs = [], []
            for _run in range(runs):
                say(f"latency {delay} ms")
                ours.append(size / MIB / rig.seed(uri).seconds)
                theirs.append(size / MIB / rig.nbdcopy(uri, size))
        figures.latency[delay] = (statistics.median(ours), statistics.median(theirs))
    disk.unlink()


def memory(rig: Rig, figures: Figures) -> None:
    """Seed, verify and compare disks of growing size that hold little, and see the memory."""
    for size in (GIB, 64 * GIB, 1024 * GIB):
        say(f"memory at {size // GIB} GiB")
        disk = make_disk(rig.folder / "wide.raw", size, SMALL * 4096, pieces=SMALL)
        with rig.serve(disk) as uri:
            peak = max(one.rss for one in (rig.seed(uri), rig.verify(), rig.delta(uri)))
        figures.memory[size // GIB] = peak / MIB
        disk.unlink()


def downtime(rig: Rig, sizes: list[int], figures: Figures) -> None:
    """Last round and read-back after the same writes on disks of growing size; and the whole."""
    for gib in sizes:
        say(f"downtime at {gib} GiB")
        disk = make_disk(rig.folder / "grow.raw", gib * GIB, gib * GIB // 4)
        with rig.machine(disk) as machine:
            cold = rig.seed(machine.uri).seconds
            chance = random.Random(gib)  # noqa: S311  # not for secrets
            for number in range(DIRTY_WRITES):
                offset = chance.randrange(0, gib * GIB - MIB, 65536)
                machine.write(number % 254 + 1, offset, 256 * 1024)
            machine.freeze("b1")
            machine.export("b1")
            warm = rig.round(machine.uri, "b1")
        figures.downtime[gib] = (warm.seconds, cold, warm.counts["read"] / MIB)
        disk.unlink()


def main() -> int:
    """Measure all, then write page and chart; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=2, help="GiB of the disk that is copied")
    parser.add_argument("--sizes", default="1,4,16", help="GiB, of the downtime against size")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; much free space")
    args = parser.parse_args()
    figures = Figures(runs=args.runs, size_gib=args.size, load=os.getloadavg()[0])
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=args.folder or ROOT / "build"))
    try:
        rig = Rig(folder)
        throughput(rig, args.size * GIB, args.runs, figures)
        latency(rig, 256 * MIB, max(1, args.runs // 2), figures)
        memory(rig, figures)
        downtime(rig, [int(one) for one in args.sizes.split(",")], figures)
    finally:
        shutil.rmtree(folder)
    figures.load_after = os.getloadavg()[0]
    write(figures, ROOT / "docs/explanation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
