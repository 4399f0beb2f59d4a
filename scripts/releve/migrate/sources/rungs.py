"""How the bytes of a disk will be read, why so, and how long the guest stands still for it.

Pure: what was seen at the source goes in, a rung, one sentence and a forecast come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rung = Literal["bitmaps", "hash-delta", "cold"]
OLDEST_QEMU = (4, 0)  # the first whose NBD server offers a dirty bitmap
SMALL_BYTES = 16 << 20  # what the rounds leave for the last delta of a guest of an office
FIXED_SECONDS = 2.0  # engine's own: two workers' starts, a transaction, the read-back
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second: over the `line`, reading the old `disk`, hashing at the `source` host."""

    line: float = 110e6  # of 1 Gbit/s
    disk: float = 150e6  # a hard disk that reads in order
    source: float = 140e6  # the disk again: sha256sum of one core is faster than that


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What decides how a disk is read.

    `running`: the guest works now. `qemu`: version of the QEMU under it, None: another program.
    `monitor`: its QMP monitor answers. `flat`: what the guest sees lies byte for byte in one file
    or device, so that its host can hash it. `tools`: that host has dd and sha256sum. `frozen`:
    kind of a snapshot that can be read while it works ("lvm", "zfs", "btrfs", "esxi"), "" for
    none. `size`: as the guest sees it; `data`: what of it is allocated, in bytes.
    """

    running: bool
    size: int
    data: int
    qemu: tuple[int, int] | None = None
    monitor: bool = False
    flat: bool = False
    tools: bool = False
    frozen: str = ""


@dataclass(frozen=True, slots=True)
class Downtime:
    """Seconds that the copy adds between power-off and start, and one sentence that says why."""

    seconds: float
    why: str


def rung_of(facts: DiskFacts) -> tuple[Rung, str]:
    """Return the rung that a disk gets, and the reason as a sentence."""
    if not facts.running:
        return "hash-delta", "it is off: copied as it rests, compared by hashes at the cutover"
    if facts.qemu is not None and facts.qemu >= OLDEST_QEMU and facts.monitor:
        version = ".".join(map(str, facts.qemu))
        return "bitmaps", f"QEMU {version} records what is written: only that moves after the stop"
    lacking = _lacking(facts)
    if facts.frozen:
        return "hash-delta", (
            f"{lacking}; what is frozen of it ({facts.frozen}) is copied while it works,"
            " then blocks are compared by hashes"
        )
    return "cold", f"{lacking}, and its storage has no snapshot to copy from: copied after the stop"


def downtime_of(facts: DiskFacts, rates: Rates | None = None) -> Downtime:
    """Return the forecast for a disk on its rung."""
    rates = rates or Rates()
    rung, _why = rung_of(facts)
    if rung == "bitmaps":
        seconds = FIXED_SECONDS + SMALL_BYTES / rates.line
        return Downtime(seconds, "what was written since the last round; not the disk's size")
    if rung == "hash-delta" and facts.flat and facts.tools:
        seconds = FIXED_SECONDS + facts.size / rates.source + SMALL_BYTES / rates.line
        said = f"its host hashes {_amount(facts.size)} itself; only what differs moves"
        return Downtime(seconds, said)
    seconds = FIXED_SECONDS + facts.data / min(rates.line, rates.disk)
    what = "is read" if rung == "hash-delta" else "is copied"
    return Downtime(seconds, f"{_amount(facts.data)} of data {what} over the line once")


def guest_downtime(disks: list[DiskFacts], rates: Rates | None = None) -> float:
    """Return the forecast for a guest, whose disks are read one after the other."""
    extra = sum(downtime_of(disk, rates).seconds - FIXED_SECONDS for disk in disks)
    return FIXED_SECONDS + extra


def _amount(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{-(-count // (1 << 20))} MiB"


def _lacking(facts: DiskFacts) -> str:
    if facts.qemu is None:
        return "no QEMU that records writes runs it"
    if facts.qemu < OLDEST_QEMU:
        version, oldest = (".".join(map(str, pair)) for pair in (facts.qemu, OLDEST_QEMU))
        return f"QEMU {version} offers no dirty bitmap (from {oldest} on)"
    return "QEMU's monitor does not answer"
