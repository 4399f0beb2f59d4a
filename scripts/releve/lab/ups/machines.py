"""The fed hosts as the relay sees them: running, halted, or waiting for the power to go."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class State(enum.Enum):
    """What would happen if the output went off now."""

    RUNNING = "running"  # a cut would be unclean
    WAITING = "waiting"  # halted but for POWEROFF_WAIT: filesystems are down
    HALTED = "halted"


class Machines(Protocol):
    """The power side of the hosts."""

    def state(self, host: str) -> State:
        """Return what a cut would meet."""

    def cut(self, host: str) -> None:
        """Take the power away at once."""

    def power_on(self, host: str) -> None:
        """Press the power button of a dark host; returns at once."""


@dataclass(slots=True)
class Containers:
    """Hosts that are containers; `pid_of` names a host's first process (None: not running)."""

    pid_of: Callable[[str], int | None]
    power_off: Callable[[str], None]
    start: Callable[[str], None]
    known: dict[str, tuple[int, str]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    proc: Path = Path("/proc")

    def state(self, host: str) -> State:
        """Look at the first process of the host and, when it is systemd-shutdown, at its hook.

        Who waited once does not run again: between the hook's end and its own, systemd-shutdown
        lives for a moment without a hook that sleeps.
        """
        pid = self._first_process(host)
        if pid is None:
            self.waiting.pop(host, None)
            return State.HALTED
        name = self._words(pid, "comm")
        if not name:  # it ended between the two looks: not "running", or nobody starts it again
            self.waiting.pop(host, None)
            return State.HALTED
        last = name.startswith("systemd-shutdow")
        if last and (self.waiting.get(host) == pid or self._in_hook_sleep(pid)):
            self.waiting[host] = pid
            return State.WAITING
        return State.RUNNING

    def cut(self, host: str) -> None:
        """Kill it with everything inside; its disk keeps what was synced."""
        self.known.pop(host, None)
        self.power_off(host)

    def power_on(self, host: str) -> None:
        """Start it, unless it runs already."""
        if self.state(host) is State.HALTED:
            self.start(host)

    def _first_process(self, host: str) -> int | None:
        """Return the pid of a living one, remembered with its start time."""
        pid, birth = self.known.get(host, (0, ""))
        if pid and self._birth(pid) == birth:
            return pid
        self.known.pop(host, None)
        fresh = self.pid_of(host)
        if not fresh or not self._birth(fresh):
            return None
        self.known[host] = (fresh, self._birth(fresh))
        return fresh

    def _birth(self, pid: int) -> str:
        """Return the start time of a living process, or nothing: a pid alone may be reused."""
        stat = self._words(pid, "stat")
        after_name = stat.rpartition(")")[2].split()
        return after_name[19] if after_name and after_name[0] not in {"Z", "X"} else ""

    def _words(self, pid: int, file: str) -> str:
        try:
            return (self.proc / str(pid) / file).read_text(errors="replace")
        except OSError:
            return ""

    def _in_hook_sleep(self, pid: int) -> bool:
        """Tell whether NUT's hook, somewhere below, sleeps out its POWEROFF_WAIT."""
        children = self._words(pid, f"task/{pid}/children").split()
        for child in map(int, children):
            words = self._words(child, "cmdline").replace("\0", " ")
            grandchildren = self._words(child, f"task/{child}/children").split()
            asleep = any(self._words(int(one), "comm").strip() == "sleep" for one in grandchildren)
            if ("nutshutdown" in words and asleep) or self._in_hook_sleep(child):
                return True
        return False
