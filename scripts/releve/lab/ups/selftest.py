"""The battery test of the lab's UPS: it runs on its battery for a while, mains or not."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_SECONDS = 8.0


@dataclass(slots=True)
class SelfTest:
    """A quick one ends by itself; a deep one when the battery is nearly empty, or when told."""

    running: bool = False
    result: str = "No test initiated"
    ends: float | None = None

    def obey(self, command: str, now: float, *, mains: bool) -> None:
        """Start or stop at a command of the driver; without mains nothing is started."""
        if command == "test.battery.stop" and self.running:
            self._end("Aborted")
        elif command.startswith("test.battery.start") and mains and not self.running:
            self.running, self.result = True, "In progress"
            self.ends = None if command.endswith(".deep") else now + QUICK_SECONDS

    def step(self, now: float, *, mains: bool, nearly_empty: bool) -> None:
        """Let time pass; a real cut takes the test's place."""
        if not self.running:
            return
        if not mains:
            self._end("Aborted")
        elif nearly_empty:
            self._end("Done and passed" if self.ends is None else "Done and error")
        elif self.ends is not None and now >= self.ends:
            self._end("Done and passed")

    def cut(self) -> None:
        """End with the output: a UPS that has switched itself off tests nothing any more."""
        if self.running:
            self._end("Aborted")

    def _end(self, result: str) -> None:
        self.running, self.result = False, result
