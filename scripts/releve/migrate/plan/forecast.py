"""How long a move takes and how long its guest stands still, from what was measured; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.migrate.preflight.units import MIB
from releve.migrate.sources import rungs

if TYPE_CHECKING:
    from releve.migrate.preflight.facts import DiskFacts, Facts, SourceFacts

# Where nothing was measured: a network of 1 Gbit/s, and a guest that writes little.
ASSUMED_RATE = 100.0 * MIB
ASSUMED_WRITTEN = 1 * MIB
MOST_ROUNDS = 5
STEP_SECONDS = 5.0  # fence, disks attached, start of the guest on its node


@dataclass(frozen=True, slots=True)
class Rung:
    """How a disk's bytes are read, why so, and what the guest's stop follows from."""

    name: rungs.Rung
    why: str
    downtime: str


@dataclass(frozen=True, slots=True)
class DiskForecast:
    """One disk: `data` bytes are sent by the seed, `seconds` the last delta takes at the stop."""

    name: str
    rung: Rung
    size: int | None
    data: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds; `parts` add up to the downtime, `assumed` names what was not measured."""

    disks: tuple[DiskForecast, ...]
    seed: float
    downtime: float
    parts: dict[str, float]
    assumed: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what a plan file holds of it; times in whole seconds, rounded up."""
        parts = {name: _up(seconds) for name, seconds in self.parts.items()}
        return {
            "seed_seconds": _up(self.seed),
            "downtime_seconds": sum(parts.values()),
            "parts": parts,
            "assumed": list(self.assumed),
        }


def _up(seconds: float) -> int:
    return int(-(-seconds // 1))


def _rung_facts(source: SourceFacts, disk: DiskFacts, data: int) -> rungs.DiskFacts:
    return rungs.DiskFacts(
        running=source.running,
        size=disk.size or data,
        data=data,
        qemu=source.qemu,
        monitor=source.qemu is not None and not source.monitor_error,
        flat=disk.flat or (disk.format == "raw" and len(disk.layers) == 1),
        tools=disk.hashed,
        frozen=disk.frozen,
    )


def forecast(facts: Facts) -> Forecast | None:
    """Return the forecast of a guest; None when nothing is known of its source."""
    source = facts.source
    if source is None:
        return None
    assumed: list[str] = []
    rate = _rate(facts, assumed)
    mean = _limited(facts, rate, assumed)
    listed = {disk.name: disk.size_mib * MIB for disk in facts.guest.disks}
    data = {
        disk.name: disk.allocated or disk.size or listed.get(disk.name, 0) for disk in source.disks
    }
    seed = sum(data.values()) / mean
    reading = facts.path.read_rate or rungs.Rates().disk
    rates = rungs.Rates(line=rate, disk=reading, source=reading)
    disks = []
    for disk in source.disks:
        known = _rung_facts(source, disk, data[disk.name])
        (name, why), stop = rungs.rung_of(known), rungs.downtime_of(known, rates)
        seconds = stop.seconds
        if name == "bitmaps":
            last = _last(disk, data[disk.name], seed, rate, assumed)
            seconds = rungs.FIXED_SECONDS + last / rate
        rung = Rung(name, why, stop.why)
        disks.append(DiskForecast(disk.name, rung, disk.size, data[disk.name], seconds))
    parts = _parts(facts, disks) if source.running or source.files else {}
    return Forecast(tuple(disks), seed, sum(parts.values()), parts, tuple(dict.fromkeys(assumed)))


def _rate(facts: Facts, assumed: list[str]) -> float:
    """Return the bytes a second of a round: the slower one of network and disk."""
    rates = [rate for rate in (facts.path.rate, facts.path.read_rate) if rate]
    if not facts.path.rate:
        assumed.append(f"{ASSUMED_RATE / MIB:.0f} MiB/s from the old host to the node")
        rates.append(ASSUMED_RATE)
    return min(rates)


def _limited(facts: Facts, rate: float, assumed: list[str]) -> float:
    """Return the bytes a second of the seed, which alone is held to the limit."""
    mean = facts.bandwidth.mean(rate / MIB) * MIB
    if len(facts.bandwidth.windows) > 1 or facts.bandwidth.zone:
        assumed.append(f"{mean / MIB:.0f} MiB/s for the seed, the mean of the schedule's week")
    return mean


def _last(disk: DiskFacts, data: int, seed: float, rate: float, assumed: list[str]) -> int:
    """Return the bytes of the last delta: what is left when the rounds end."""
    written = disk.written
    if written is None:
        assumed.append(f"{ASSUMED_WRITTEN // MIB} MiB/s written by the guest")
        written = ASSUMED_WRITTEN
    left = min(float(data), written * seed)
    for _round in range(MOST_ROUNDS):
        if left <= rungs.SMALL_BYTES:
            break
        left = min(float(data), written * left / rate)
    return int(left)


def _parts(facts: Facts, disks: list[DiskForecast]) -> dict[str, float]:
    """Return what the downtime of a working guest is made of; a person stops one of files."""
    files = facts.source is not None and facts.source.files
    return {
        **({} if files else {"power-off": float(facts.guest.stop_seconds)}),
        "last delta": sum(disk.seconds for disk in disks),
        "fence and start": STEP_SECONDS,
        "until it answers": float(facts.guest.health.seconds),
    }
