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
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.page import SMALL, Figures, Stop, write
from tests.bench.rig import MIB, Rig, make_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.unit.blocks.conftest import Machine

ROOT = Path(__file__).parents[2]
GIB = 1 << 30
DIRTY_WRITES = 64  # of 256 KiB between the seed and the last round
GUEST_SECONDS = 5.0
CRASH = "noted:6"  # the seed that is gone on with dies after its sixth checkpoint


def say(text: str) -> None:
    """Tell a person what is measured now."""
    sys.stderr.write(f"bench: {text}\n")


def in_turn(
    what: str, runs: int, engines: Mapping[str, Callable[[], float]]
) -> dict[str, list[float]]:
    """Return what each engine measured, run by run; in each run their order is random."""
    found: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(runs):
        order = list(engines)
        random.shuffle(order)
        for name in order:
            say(f"{what} {number + 1}/{runs}: {name}")
            found[name].append(engines[name]())
    return found


def throughput(rig: Rig, size: int, runs: int, figures: Figures) -> None:
    """Copy one disk by every engine, then read the copy back, then go on after a kill."""
    data = size * 5 // 8
    disk = make_disk(rig.folder / "source.raw", size, data)
    figures.data_mib = data / MIB
    with rig.serve(disk) as uri:
        engines = {
            "releve": lambda: rig.seed(uri).seconds,
            "nbdcopy": lambda: rig.nbdcopy(uri, size),
            "qemu-img convert": lambda: rig.convert(uri),
            "rsync": lambda: rig.rsync(disk),
        }
        times = in_turn("copy", runs, engines)
        figures.copies = {
            name: [data / MIB / one for one in seconds] for name, seconds in times.items()
        }
        rig.seed(uri)
        figures.verify = in_turn(
            "verify",
            runs,
            {
                "releve": lambda: rig.verify().seconds,
                "qemu-img compare": lambda: rig.compare(disk),
                "hashing alone": lambda: rig.hashing(data),
            },
        )
        for _run in range(runs):
            resume(rig, uri, figures)
    disk.unlink()


def resume(rig: Rig, uri: str, figures: Figures) -> None:
    """Kill a seed in the middle, go on, and count what is read again and the time that it costs."""
    say("resume")
    whole = rig.seed(uri, checkpoint=64)
    first = rig.seed(uri, crash=CRASH, checkpoint=64)
    rest = rig.seed(uri, fresh=False, checkpoint=64)
    figures.resume = (rest.counts["kept"], rest.counts["read"], whole.counts["read"])
    figures.resume_seconds.append(first.seconds + rest.seconds - whole.seconds)


def latency(rig: Rig, size: int, runs: int, figures: Figures) -> None:
    """Copy over a line on which each question and its answer take 2 ms more."""
    disk = make_disk(rig.folder / "late.raw", size, size)
    for delay in (0, 2):
        with rig.serve_late(disk, delay) as uri:
            figures.latency[delay] = in_turn(
                f"{delay} ms",
                runs,
                {
                    "releve": lambda uri=uri: size / MIB / rig.seed(uri).seconds,  # type: ignore[misc]
                    "nbdcopy": lambda uri=uri: size / MIB / rig.nbdcopy(uri, size),  # type: ignore[misc]
                },
            )
    disk.unlink()


def memory(rig: Rig, figures: Figures) -> None:
    """Seed, verify and compare disks of growing size that hold little, and see the memory."""
    for size in (GIB, 64 * GIB, 1024 * GIB):
        say(f"memory at {size // GIB} GiB")
        disk = make_disk(rig.folder / "wide.raw", size, SMALL * 4096, pieces=SMALL)
        with rig.serve(disk) as uri:
            runs = {"seed": rig.seed(uri), "verify": rig.verify(), "hash delta": rig.delta(uri)}
        figures.memory[size // GIB] = {verb: one.rss / MIB for verb, one in runs.items()}
        disk.unlink()


def downtime(rig: Rig, sizes: list[int], runs: int, figures: Figures) -> None:
    """Measure what each way to the last byte takes after the same writes, by size of the disk."""
    for gib in sizes:
        disk = make_disk(rig.folder / "grow.raw", gib * GIB, gib * GIB // 4)
        stop = figures.downtime[gib] = Stop()
        with rig.machine(disk) as machine:
            for number in range(runs):
                say(f"downtime at {gib} GiB {number + 1}/{runs}")
                machine.export()
                stop.cold.append(rig.seed(machine.uri).seconds)
                dirty(machine, gib)
                machine.bitmap(f"b{number + 1}")
                machine.freeze(f"b{number}")
                machine.export(f"b{number}")
                warm = rig.round(machine.uri, f"b{number}")
                stop.warm.append(warm.seconds)
                stop.mib = warm.counts["read"] / MIB
                dirty(machine, gib)
                machine.export()
                stop.hashed.append(rig.delta(machine.uri).seconds)
        disk.unlink()


def dirty(machine: Machine, gib: int) -> None:
    """Let the guest write here and there."""
    for _write in range(DIRTY_WRITES):
        offset = random.randrange(0, gib * GIB - MIB, 65536)  # noqa: S311  # not for secrets
        machine.write(random.randrange(1, 255), offset, 256 * 1024)  # noqa: S311


def slowdown(rig: Rig, size: int, runs: int, figures: Figures) -> None:
    """Let a guest write and read on one disk while that disk is copied."""
    disk = make_disk(rig.folder / "busy.raw", size, size)
    with rig.machine(disk) as machine:
        place = machine.work_place()

        def guest() -> float:
            time.sleep(1)  # the copy is under way
            steps = rig.guest(place, GUEST_SECONDS)
            figures.steps += len(steps)
            return statistics.median(steps)

        def seeding(bandwidth: str) -> float:
            with rig.seeding(machine.uri, bandwidth):
                return guest()

        def copying() -> float:
            with rig.copying(machine.uri, size):
                return guest()

        figures.guest = in_turn(
            "guest",
            runs,
            {
                "nothing": guest,
                "releve": lambda: seeding("0"),
                "releve --bandwidth 50": lambda: seeding("50"),
                "nbdcopy": copying,
            },
        )
    disk.unlink()


def main() -> int:
    """Measure all, then write page and chart; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=4, help="GiB of the disk that is copied")
    parser.add_argument("--sizes", default="1,4,16", help="GiB, of the downtime against size")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; much free space")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/explanation", help="folder")
    args = parser.parse_args()
    figures = Figures(runs=args.runs, size_gib=args.size, load=os.getloadavg()[0])
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=args.folder or ROOT / "build"))
    start = time.monotonic()
    try:
        rig = Rig(folder)
        throughput(rig, args.size * GIB, args.runs, figures)
        latency(rig, 512 * MIB, args.runs, figures)
        slowdown(rig, GIB, args.runs, figures)
        memory(rig, figures)
        downtime(rig, [int(one) for one in args.sizes.split(",")], min(3, args.runs), figures)
    finally:
        shutil.rmtree(folder)
    figures.minutes = (time.monotonic() - start) / 60
    write(figures, args.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
