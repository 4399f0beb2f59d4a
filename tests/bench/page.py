"""The page that the benchmark writes."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.chart import chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MIB = 1 << 20
SMALL = 8192  # pieces of data on the disks that show the memory
SEED_AIM = 0.9  # of nbdcopy's speed
VERIFY_AIM = 3.0  # times as fast as qemu-img compare
SLOPE_AIM = 0.05  # seconds of downtime for each GiB of disk
STOP_AIM = 2.0  # seconds
MEMORY_AIM = 64  # MiB


@dataclass
class Stop:
    """Seconds that the last bytes take, run by run: by bitmap, by hashes, by copying all."""

    warm: list[float] = field(default_factory=list)
    hashed: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    mib: float = 0


@dataclass
class Figures:
    """All that one run measured; lists are of its runs."""

    runs: int
    size_gib: int
    load: float
    minutes: float = 0
    data_mib: float = 0
    copies: dict[str, list[float]] = field(default_factory=dict)  # MiB/s
    verify: dict[str, list[float]] = field(default_factory=dict)  # seconds
    resume: tuple[int, int, int] = (0, 0, 0)  # bytes: kept, read after the kill, the whole
    resume_seconds: list[float] = field(default_factory=list)
    latency: dict[int, dict[str, list[float]]] = field(default_factory=dict)  # ms: MiB/s
    guest: dict[str, list[float]] = field(default_factory=dict)  # ms of a step
    steps: int = 0
    memory: dict[int, dict[str, float]] = field(default_factory=dict)  # GiB of disk: MiB
    downtime: dict[int, Stop] = field(default_factory=dict)  # GiB of disk


def _first_line(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()[0]


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123  # no file of ours
        names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(values: Sequence[float], digits: int = 0) -> list[str]:
    """Return least, median and most."""
    found = (min(values), statistics.median(values), max(values))
    return [f"{one:.{digits}f}" for one in found]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratios of the runs."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def _verdict(text: str, *, met: bool) -> str:
    return f"The aim, {text}, was {'met' if met else '**not** met'} here"


def _copies(figures: Figures) -> str:
    ours = figures.copies["releve"]
    rows = [
        [name, *spread(rates), *spread(ratio(ours, rates), 2)]
        for name, rates in figures.copies.items()
    ]
    head = ["engine", "MiB/s, least", "median", "most", "releve by it, least", "median", "most"]
    found = statistics.median(ratio(ours, figures.copies["nbdcopy"]))
    verdict = _verdict(f"{SEED_AIM} of nbdcopy with hashing on", met=found >= SEED_AIM)
    return f"{table(head, rows)}\n{verdict}: {found:.2f} (median of the runs' ratios)."


def _verify(figures: Figures) -> str:
    rows = [[name, *spread(seconds, 2)] for name, seconds in figures.verify.items()]
    theirs, alone = figures.verify["qemu-img compare"], figures.verify["hashing alone"]
    found = statistics.median(ratio(theirs, figures.verify["releve"]))
    bound = statistics.median(ratio(theirs, alone))
    verdict = _verdict(
        f"{VERIFY_AIM:.0f} times as fast as `qemu-img compare`", met=found >= VERIFY_AIM
    )
    shown = table(["what", "seconds, least", "median", "most"], rows)
    return (
        f"{shown}\n{verdict}: {found:.1f} times."
        f" Hashing as many bytes that are in memory already, on all processors, would be"
        f" {bound:.1f} times as fast: no verification by SHA-256 can do better on this machine."
    )


def _latency(figures: Figures) -> str:
    rows = []
    for delay, rates in figures.latency.items():
        ours, theirs = rates["releve"], rates["nbdcopy"]
        rows.append(
            [f"{delay} ms", *spread(ours), *spread(theirs), spread(ratio(ours, theirs), 2)[1]]
        )
    head = ["delay", "releve, least", "median", "most", "nbdcopy, least", "median", "most", "ratio"]
    return table(head, rows)


def _guest(figures: Figures) -> str:
    alone = figures.guest["nothing"]
    rows = [
        [name, *spread(taken, 2), spread(ratio(taken, alone), 1)[1]]
        for name, taken in figures.guest.items()
    ]
    head = ["beside it runs", "ms, least", "median", "most", "times as long (median)"]
    return table(head, rows)


def _memory(figures: Figures) -> str:
    verbs = list(next(iter(figures.memory.values())))
    rows = [
        [f"{gib}", *(f"{peaks[verb]:.0f}" for verb in verbs)]
        for gib, peaks in figures.memory.items()
    ]
    most = max(max(peaks.values()) for peaks in figures.memory.values())
    verdict = _verdict(f"under {MEMORY_AIM} MiB whatever the disk's size", met=most < MEMORY_AIM)
    return f"{table(['disk, GiB', *(f'{verb}, MiB' for verb in verbs)], rows)}\n{verdict}."


def _slope(figures: Figures, which: str) -> float:
    """Return the seconds that each GiB of disk adds, by the medians of the smallest and largest."""
    sizes = sorted(figures.downtime)
    ends = [figures.downtime[one] for one in (sizes[0], sizes[-1])]
    first, last = (statistics.median(list(getattr(one, which))) for one in ends)
    return float(last - first) / max(1, sizes[-1] - sizes[0])


def _downtime(figures: Figures) -> str:
    rows = [
        [
            f"{gib}", f"{one.mib:.0f}", *spread(one.warm, 2),
            spread(one.hashed, 2)[1], spread(one.cold, 2)[1],
        ]
        for gib, one in figures.downtime.items()
    ]  # fmt: skip
    head = [
        "disk, GiB", "MiB moved", "warm, s, least", "median", "most", "hash delta, s", "whole, s",
    ]  # fmt: skip
    slope = _slope(figures, "warm")
    most = max(max(one.warm) for one in figures.downtime.values())
    verdict = _verdict(
        f"under {SLOPE_AIM} s for each GiB and {STOP_AIM:.0f} s in all",
        met=slope < SLOPE_AIM and most <= STOP_AIM,
    )
    return (
        f"{table(head, rows)}\nEach GiB of disk adds {slope:.3f} s warm,"
        f" {_slope(figures, 'hashed'):.2f} s by hashes, {_slope(figures, 'cold'):.2f} s when all is"
        f" copied. {verdict}; the longest warm one took {most:.2f} s."
    )


def page(figures: Figures) -> str:
    """Return the page."""
    now = datetime.datetime.now(tz=datetime.UTC)
    kept, again, whole = (one / MIB for one in figures.resume)
    least, middle, most = spread(figures.resume_seconds, 2)
    return f"""# How fast the block mover is

Written by `python -m tests.bench --runs {figures.runs} --size {figures.size_gib}` on
{now:%Y-%m-%d at %H:%M} UTC in {figures.minutes:.0f} minutes, not by hand; figures of another
machine come from running it there.

Machine: {_processor()}, {len(os.sched_getaffinity(0))} processors, Linux {platform.release()};
{_first_line("qemu-img", "--version")}, {_first_line("nbdcopy", "--version")},
Python {_first_line("/usr/bin/python3", "--version").split()[1]}.
The load was {figures.load:.2f} before the first measurement: {_quiet(figures)}
Source and target lie on the same disk, there is no network. So trust ratios within a table, not
absolute figures. Ratios are of the pairs within each run, in which the engines took their turn in
random order.

![Throughput, verification and downtime](performance.svg)

## Copying a disk of {figures.size_gib} GiB, {figures.data_mib:.0f} MiB of it data

{figures.runs} runs. All but rsync read from `qemu-nbd --cache=none` and write past the page cache:
nbdcopy into another qemu-nbd, the others themselves. Releve also hashes each block, keeps its
manifest and calls fsync; nbdcopy and qemu-img do not hash; rsync copies the file itself through the
page cache, from disk to disk without any network.

{_copies(figures)}

## Verifying the copy

{figures.runs} runs. Releve reads the target alone, past the page cache, and compares each block's
hash with the manifest, holes with the hash of zeros; `qemu-img compare -T none` reads both disks
and compares their bytes.

{_verify(figures)}

## Going on after a kill

{figures.runs} runs. A seed that makes a checkpoint every 64 MiB was killed after its sixth. The
next one kept {kept:.0f} MiB and read {again:.0f} MiB: {(kept + again) / whole * 100:.1f} % of what
a whole seed reads. Both together took {middle} s longer than one whole seed (median; from {least}
to {most}).

## A longer line

512 MiB of data, {figures.runs} runs, MiB/s, through a process that delivers each byte so much
later, half of it each way, and slows nothing else.

{_latency(figures)}
## What a guest feels of it

{figures.runs} runs of 5 s. Through the QEMU that is read, somebody writes 4 KiB at a random place
of its disk, flushes, and reads 4 KiB at another, again and again, {figures.steps} times in all; the
time of such a step is the median of a run. Source and target on one disk and two processors for
all is the worst case: the copy writes to the disk that the guest waits for.

{_guest(figures)}
## Memory of the worker

Its most resident memory, on sparse disks whose data lies in {SMALL} small pieces.

{_memory(figures)}

## Downtime against the size of the disk

{len(next(iter(figures.downtime.values())).warm)} runs. After a seed 64 blocks of 256 KiB are
written at random places; then the guest would be stopped. Warm is the last round by the bitmap,
read back, from the start of the worker to its end: the mover's part of the stop, without the
guest's own shutdown and start. Hash delta reads and hashes the source again and moves what differs;
whole is a copy of the disk, of which a quarter is data (medians).

{_downtime(figures)}

Not measured here: a real network, LVM-thin volumes, a guest that boots from the disk.
"""


def _quiet(figures: Figures) -> str:
    busy = figures.load > len(os.sched_getaffinity(0)) / 2
    return (
        "other work ran beside it, so times vary widely." if busy else "nothing else of weight ran."
    )


def write(figures: Figures, folder: Path) -> None:
    """Write page and chart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "performance.md").write_text(page(figures), encoding="utf-8")
    kinds = {"warm": "warm", "by hashes": "hashed", "whole": "cold"}
    groups = {
        "Copying, MiB/s (more is better)": {
            name: statistics.median(rates) for name, rates in figures.copies.items()
        },
        "Verifying, s (less is better)": {
            name: statistics.median(seconds) for name, seconds in figures.verify.items()
        },
        "Downtime, s (less is better)": {
            f"{gib} GiB {kind}": statistics.median(getattr(one, name))
            for gib, one in figures.downtime.items()
            for kind, name in kinds.items()
        },
        "A guest's step, ms (less is better)": {
            name: statistics.median(taken) for name, taken in figures.guest.items()
        },
    }
    (folder / "performance.svg").write_text(chart(groups), encoding="utf-8")
