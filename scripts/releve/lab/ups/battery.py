"""The battery of the lab's UPS: a charge that time and load take away."""

from __future__ import annotations

from dataclasses import dataclass

EMPTY_VOLTS, FULL_VOLTS = 21.0, 27.0  # of two lead-acid blocks in series
IDLE_LOAD = 0.25  # share of the full load that is drawn with every fed host off


@dataclass(slots=True)
class Battery:
    """Energy is counted in seconds at full load; `capacity_seconds` of them when charged.

    `recharge` is how many times faster it charges than it empties: hours have no place in a lab.
    """

    capacity_seconds: float
    recharge: float = 4.0
    left: float = -1.0

    def __post_init__(self) -> None:
        """Start charged."""
        if self.left < 0:
            self.left = self.capacity_seconds

    def step(self, seconds: float, *, mains: bool, output: bool, load: float) -> None:
        """Let time pass; `load` is a share of the full one."""
        if mains:
            self.left = min(self.capacity_seconds, self.left + seconds * self.recharge)
        elif output:
            self.left = max(0.0, self.left - seconds * load)

    @property
    def empty(self) -> bool:
        """Whether the output can no longer be held."""
        return self.left <= 0

    @property
    def full(self) -> bool:
        """Whether nothing is missing."""
        return self.left >= self.capacity_seconds

    @property
    def charge(self) -> float:
        """Charge in percent."""
        return 100 * self.left / self.capacity_seconds

    @property
    def voltage(self) -> float:
        """Voltage that a meter would show; a straight line does for a lab."""
        return EMPTY_VOLTS + (FULL_VOLTS - EMPTY_VOLTS) * self.left / self.capacity_seconds

    def runtime(self, load: float) -> float:
        """Return the seconds that are left at this load."""
        return self.left / max(load, 0.01)


def load_of(running: int, fed: int) -> float:
    """Return the load as a share of the full one, from how many of the fed hosts run."""
    return IDLE_LOAD + (1 - IDLE_LOAD) * (running / fed if fed else 0)
