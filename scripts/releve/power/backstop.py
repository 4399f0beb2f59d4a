"""The second clock of the time on battery; runs for ever, within rewake.

upssched's timer lives in the group of processes of upsmon: it begins at zero again when that is
restarted in an outage, is gone when upssched dies alone, and goes by the time of day, which NTP may
set back. This clock has none of these faults, and calls the same script ten seconds later; who
called first makes no difference to that. Standard library only: keep it small.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from releve.power import tasks
from releve.power.errand import Errand
from releve.power.instant import Instant
from releve.power.status import on_line

if TYPE_CHECKING:
    from collections.abc import Callable

UPSSCHED = Path("/etc/nut/upssched.conf")
POWER_TIMER = "/usr/local/lib/releve/power-timer"
LATE = 10.0  # seconds after upssched: upsmon sees "on battery" later than a look each second
AGAIN = 10.0  # seconds until a script that failed is called again: upsmon may just start
PATIENCE = 60.0  # seconds for the script


def timer_of(ups: str, text: str) -> int | None:
    """Return after how many seconds on battery upssched acts, by its own configuration."""
    form = rf"^\s*AT\s+ONBATT\s+(?:{re.escape(ups)}@\S+|\*)\s+START-TIMER\s+\S+\s+(\d+)"
    found = [int(one) for one in re.findall(form, text, re.MULTILINE)]
    return min(found) if found else None


def ask_script(ups: str) -> Errand:
    """Let the script decide as when upssched calls it; raises OSError."""
    return Errand((POWER_TIMER, f"on-battery-{ups}"), PATIENCE)


class Backstop:
    """Since when one UPS is on battery, and whether the script was called in this outage."""

    def __init__(
        self,
        ups: str,
        file: Path,
        log: Callable[[str], None],
        ask: Callable[[str], Errand] = ask_script,
        *,
        now: Callable[[], Instant] = Instant.now,
        upssched: Path = UPSSCHED,
    ) -> None:
        """Begin; `file` keeps the moment for a next life in this boot, by systemd's leave."""
        self.ups, self.file, self._log, self._ask = ups, file, log, ask
        self._now, self._upssched = now, upssched
        self._since: float | None = None
        self._asked = False
        self._errand: Errand | None = None
        self._next = 0.0

    def look(self, status: frozenset[str]) -> None:
        """Take what the UPS says, nothing where it is not heard, and do what follows.

        As for upssched, silence ends no outage. It begins none either: a file of an earlier life
        counts once the UPS says by itself that it is on battery. OL and OB at once is no word: for
        upssched each look ends the outage and begins one.
        """
        self._hear_script()
        if {"OL", "OB"} <= status:
            status = frozenset()
        if on_line(status):
            self._end()
            return
        now = self._now().up
        if "OB" in status and self._since is None:
            self._begin(now)
        if self._since is None or self._asked or "FSD" in status or now < self._next:
            return
        timer = timer_of(self.ups, tasks.read(self._upssched))
        if timer is None or now - self._since < timer + LATE:
            return
        self._next = now + AGAIN
        self._log(
            f"{self.ups}: on battery for {now - self._since:.0f} s, upssched was to act after"
            f" {timer} s: power-timer is called"
        )
        try:
            self._errand, self._asked = self._ask(self.ups), True
        except OSError as error:
            self._log(f"{self.ups}: power-timer cannot be run: {error}")

    def _hear_script(self) -> None:
        """Call it again once it has failed: nobody waits for it, other UPSes have clocks, too."""
        fault = self._errand.fault() if self._errand else None
        if fault is not None:
            self._errand = None
        if fault:
            self._asked = False
            self._log(f"{self.ups}: power-timer: {fault}")

    def _begin(self, now: float) -> None:
        """Take up the moment that an earlier life has kept, else keep this one."""
        try:
            self._since = min(now, float(self.file.read_text(encoding="ascii")))
        except (OSError, ValueError):
            self._since = now
            with contextlib.suppress(OSError):  # it counts in memory all the same
                self.file.write_text(f"{now}\n", encoding="ascii")

    def _end(self) -> None:
        self._since, self._asked, self._next = None, False, 0.0
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)
