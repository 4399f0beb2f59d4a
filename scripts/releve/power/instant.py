"""A moment by two clocks: the time of day, which people and NTP set, and one that nobody sets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment: `up` counts while this boot lasts (suspend too), `wall` is the time of day."""

    wall: float
    up: float
    boot: str

    @classmethod
    def now(cls) -> Instant:
        """Return the present moment of this host."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = ""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)
