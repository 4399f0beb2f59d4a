"""The page and the chart that the benchmark writes."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
WIDTH, BAR, LEFT = 640, 26, 150
AIM = 0.9
SMALL = 8192  # pieces of data on the disks that show the memory


@dataclass
class Figures:
    """All that one run measured."""

    runs: int
    size_gib: int
    load: float
    load_after: float = 0
    data_mib: float = 0
    copies: dict[str, list[float]] = field(default_factory=dict)  # MiB/s of each run
    verify: tuple[float, float] = (0, 0)  # seconds: ours, qemu-img compare
    resume: tuple[int, int, int] = (0, 0, 0)  # bytes: kept, read after the kill, the whole
    latency: dict[int, tuple[float, float]] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)  # GiB of disk: MiB of memory
    downtime: dict[int, tuple[float, float, float]] = field(default_factory=dict)


def _versions() -> str:
    def first(*argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.splitlines()[0]

    return ", ".join([first("qemu-img", "--version"), first("nbdcopy", "--version")])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _copies(figures: Figures) -> str:
    ours = figures.copies["releve"]
    rows = []
    for name, rates in figures.copies.items():
        ratio = statistics.median(a / b for a, b in zip(ours, rates, strict=True))
        spread = f"{min(rates):.0f} to {max(rates):.0f}"
        rows.append([name, f"{statistics.median(rates):.0f}", spread, f"{ratio:.2f}"])
    return _table(["engine", "median MiB/s", "range", "releve by this one"], rows)


def _aim(figures: Figures) -> str:
    pairs = zip(figures.copies["releve"], figures.copies["nbdcopy"], strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    verdict = "was met" if ratio >= AIM else "was **not** met"
    return f"The aim, {AIM} of nbdcopy's speed with hashing on, {verdict} here: {ratio:.2f}."


def _slope(figures: Figures, which: int) -> float:
    sizes = sorted(figures.downtime)
    first, last = figures.downtime[sizes[0]], figures.downtime[sizes[-1]]
    return (last[which] - first[which]) / max(1, sizes[-1] - sizes[0])


def page(figures: Figures) -> str:
    """Return the page."""
    now = datetime.datetime.now(tz=datetime.UTC)
    ours, theirs = figures.verify
    kept, again, whole = figures.resume
    late = [
        [f"{delay} ms", f"{a:.0f}", f"{b:.0f}", f"{a / b:.2f}"]
        for delay, (a, b) in figures.latency.items()
    ]
    down = [
        [f"{gib}", f"{dirty:.0f}", f"{warm:.2f}", f"{cold:.2f}"]
        for gib, (warm, cold, dirty) in figures.downtime.items()
    ]
    wide = [[f"{gib}", f"{peak:.0f}"] for gib, peak in figures.memory.items()]
    return f"""# How fast the block mover is

Written by `python -m tests.bench` on {now:%Y-%m-%d}, not by hand; figures of another machine come
from running it there.

Machine: {platform.machine()}, {len(_processors())} processors, Linux {platform.release()};
{_versions()}; Python {platform.python_version()}. The load was {figures.load:.1f} before the
first measurement and {figures.load_after:.1f} after the last: {_quiet(figures)}
Source and target lie on the same disk, there is no network. So trust ratios within a table, not
absolute figures.

![Throughput and downtime](performance.svg)

## Copying a disk of {figures.size_gib} GiB, {figures.data_mib:.0f} MiB of it data

{figures.runs} runs, the engines in random order in each. All but rsync read from `qemu-nbd
--cache=none` and write past the page cache. Releve also hashes each block, keeps its manifest and
calls fsync; nbdcopy and qemu-img do not hash; rsync copies the file itself through the page cache.
The last column is the median of the ratios of the runs.

{_copies(figures)}
{_aim(figures)}

## Verifying

Reading the copy back against the manifest took {ours:.2f} s (median), `qemu-img compare`, which
reads both disks, {theirs:.2f} s: {theirs / ours:.1f} times as long.

## Going on after a kill

A seed was killed after its sixth checkpoint. The next one kept {kept / MIB:.0f} MiB and read
{again / MIB:.0f} MiB; together {(kept + again) / whole * 100:.1f} % of what a whole seed reads.

## A server that answers late

256 MiB of data, nbdkit with its delay filter before each read; MiB/s.

{_table(["delay", "releve", "nbdcopy", "ratio"], late)}
## Memory of the worker

The most of seed, verify and hash delta, on sparse disks whose data lies in {SMALL} small pieces.
The aim is under 64 MiB whatever the disk's size.

{_table(["disk, GiB", "memory, MiB"], wide)}
## Downtime against the size of the disk

After a seed 64 blocks of 256 KiB are written at random places. Warm is the last round with its
fsync, from the start of the worker to its end, without the guest's stop and start; cold is the
copy of the whole disk, of which a quarter is data. One run each.

{_table(["disk, GiB", "last round, MiB", "warm, s", "cold, s"], down)}
Slope: {_slope(figures, 0):.3f} s/GiB warm, {_slope(figures, 1):.2f} s/GiB cold.

Not measured here: a real network, LVM-thin volumes, and how much a guest slows down meanwhile.
"""


def _quiet(figures: Figures) -> str:
    busy = figures.load > len(_processors()) / 2
    return (
        "other work ran beside it, so times vary widely." if busy else "nothing else of weight ran."
    )


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def chart(figures: Figures) -> str:
    """Return two groups of bars as SVG: throughput of each engine, downtime of each size."""
    groups = [
        ("Copying, MiB/s (more is better)", _bars_of_copies(figures)),
        ("Downtime, s (less is better)", _bars_of_downtime(figures)),
    ]
    parts, y = [], 24
    for title, bars in groups:
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{title}</text>')
        most = max(value for _name, value, _colour in bars) or 1
        for name, value, colour in bars:
            y += BAR
            length = max(1, round(value / most * (WIDTH - LEFT - 80)))
            parts.append(f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{name}</text>')
            parts.append(
                f'<rect x="{LEFT}" y="{y - 14}" width="{length}" height="18" fill="{colour}"/>'
            )
            text = f"{value:.0f}" if most > 100 else f"{value:.2f}"
            parts.append(f'<text x="{LEFT + length + 6}" y="{y}">{text}</text>')
        y += 2 * BAR
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - BAR}"'
        f' font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _bars_of_copies(figures: Figures) -> list[tuple[str, float, str]]:
    return [
        (name, statistics.median(rates), "#1f5fa8" if name == "releve" else "#9aa7b4")
        for name, rates in figures.copies.items()
    ]


def _bars_of_downtime(figures: Figures) -> list[tuple[str, float, str]]:
    bars = []
    for gib, (warm, cold, _dirty) in figures.downtime.items():
        bars.append((f"{gib} GiB warm", warm, "#1f5fa8"))
        bars.append((f"{gib} GiB cold", cold, "#9aa7b4"))
    return bars


def write(figures: Figures, folder: Path) -> None:
    """Write page and chart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "performance.md").write_text(page(figures), encoding="utf-8")
    (folder / "performance.svg").write_text(chart(figures), encoding="utf-8")
