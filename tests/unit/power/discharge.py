"""A UPS with a battery on a clock of its own, for what runs on the UPS's host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = ("test.battery.start.quick", "test.battery.start.deep", "test.battery.stop")


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class PaperUps:
    """A battery of `capacity` seconds; every second of sleep drains or charges it.

    `says` changes the variables on their way out, `at` runs things at a second of the clock.
    """

    capacity: float = 600
    low_at: float = 0.1
    quick_seconds: int = 10
    shows_test: bool = True
    offers: tuple[str, ...] = ALL
    test_words: str = "OB DISCHRG"
    result: str = "Done and passed"
    clock: float = 1000.0
    left: float = 1.0
    mains: bool = True
    test_ends: float = 0.0
    testing: str = ""
    told: str = "No test initiated"
    silent: bool = False
    sent: list[str] = field(default_factory=list)
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    says: Callable[[dict[str, str]], dict[str, str]] = lambda values: values

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        drained = self.testing or not self.mains
        self.left = max(0.0, min(1.0, self.left + (-1 if drained else 1) * seconds / self.capacity))
        over = self.clock >= self.test_ends or (self.testing == "deep" and self.left < 0.05)
        if self.testing and over:
            self.testing, self.told = "", self.result
        act = self.at.pop(int(self.clock - 1000), None)
        if act:
            act()

    def variables(self) -> dict[str, str]:
        if self.silent:
            message = "stale"
            raise NoAnswerError(message)
        words = "OL"
        if not self.mains or (self.testing and self.shows_test):
            words = self.test_words if self.testing else "OB DISCHRG"
            words += " LB" if self.left < self.low_at else ""
        values = {
            "ups.status": words,
            "battery.charge": f"{100 * self.left:.0f}",
            "battery.voltage": f"{24 + 3 * self.left:.2f}",
            "battery.runtime": f"{self.capacity * self.left:.0f}",
            "ups.load": "30",
            "ups.test.result": "In progress" if self.testing and self.shows_test else self.told,
        }
        return self.says(values)

    def commands(self) -> frozenset[str]:
        return frozenset({*self.offers, "shutdown.return"})

    def send(self, command: str) -> None:
        self.sent.append(command)
        if command == "test.battery.stop":
            self.test_ends = self.clock
            return
        self.testing = "deep" if command.endswith("deep") else "quick"
        self.test_ends = self.clock + (1e9 if self.testing == "deep" else self.quick_seconds)
