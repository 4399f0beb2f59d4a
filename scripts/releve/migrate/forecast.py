"""How long the last delta will take, from what was measured and what is still to move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN_RATE = 10 << 20  # bytes/s until something of size was moved: a slow line, no promise
TELLING_BYTES = 4 << 20  # a transfer of less says more of its beginning than of the line
FIXED_SECONDS = 1.0  # a worker begins, asks for extents and ends, when no round was seen yet


@dataclass(frozen=True, slots=True)
class Forecast:
    """`dirty` bytes at `rate` bytes/s, and `fixed` seconds whatever their number."""

    dirty: int
    rate: float
    fixed: float

    @property
    def seconds(self) -> float:
        """How long the last delta would take now; the guest's own stop and start come on top."""
        return self.fixed + self.dirty / self.rate

    def __str__(self) -> str:
        """Say it to a person."""
        return (
            f"{self.dirty / 2**20:.1f} MiB to move at {self.rate / 2**20:.0f} MiB/s:"
            f" {self.seconds:.1f} s"
        )


def forecast(events: Iterable[dict[str, Any]], dirty: int) -> Forecast:
    """Return the forecast from a journal's transfers (`seeded`, `round-done`), the newest first.

    The rate is of the newest transfer that was long enough to tell; the fixed part is what the
    shortest round took beyond its bytes.
    """
    moves = [
        (int(event["read"]), float(event["seconds"]))
        for event in events
        if event["event"] in {"seeded", "round-done"} and event.get("seconds")
    ]
    telling = [read / seconds for read, seconds in moves if read >= TELLING_BYTES]
    rate = telling[-1] if telling else UNKNOWN_RATE
    small = [max(0.0, seconds - read / rate) for read, seconds in moves if read < TELLING_BYTES]
    return Forecast(dirty, max(rate, 1.0), min(small) if small else FIXED_SECONDS)
