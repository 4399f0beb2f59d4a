"""Level 2 of the power drill: the guests that would stop first really stop, and start again.

Each gets its power button as Proxmox VE presses it in a shutdown, and its own time. Unlike PVE,
the drill cuts no power when that is over: who needs longer is named with the seconds that it took,
or left as it is. Its power would be cut in a real shutdown.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from releve.drills.power_verdict import GuestSeen, iso
from releve.drills.witnessed import WITNESS_SECONDS, door, last_before
from releve.errors import CheckError, LaterError, RefusedError, ReleveError
from releve.witness import WitnessError, ask, await_answer, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.drills.evidence import Evidence
    from releve.pve.guests import State
    from releve.town.model import Guest, Town

DOWN_SECONDS = 180  # that PVE gives a guest without `down`; PVE/API2/Nodes.pm of pve-manager
FIRST = float("inf")  # PVE stops a guest without an order before all others; ibidem
LONGER = 3  # times its own seconds, for which the drill waits for a guest that is late
LEAST_SECONDS = 60.0
STEP = 0.5
BETWEEN_SECONDS = 0.5  # after a stop; its last record is older, the next boot's first is not yet


class Power(Protocol):
    """The power of the guests of a node; all of it raises ReleveError with PVE's reason."""

    def exists(self, vmid: int) -> bool:
        """Return whether there is such a guest."""

    def state(self, vmid: int) -> State:
        """Return whether a guest runs."""

    def config(self, vmid: int) -> dict[str, object]:
        """Return its settings."""

    def shutdown(self, vmid: int, seconds: int) -> None:
        """Press its power button; raises when it does not stop in time."""

    def start(self, vmid: int) -> None:
        """Start it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A guest's place in PVE's order of stopping, and the time that PVE gives it."""

    name: str
    vmid: int
    order: float
    seconds: int


@dataclass(slots=True)
class Seen:
    """What became of one guest; seconds from its power button, None: it did not happen."""

    stop: Stop
    guest: GuestSeen
    pressed: float = 0.0
    stopped: float | None = None
    late: bool = False
    started: str = ""
    back: float | None = None


def stop_of(name: str, vmid: int, config: dict[str, object]) -> Stop:
    """Return a guest's place from its live settings (`startup: order=2,down=30`)."""
    startup = str(config.get("startup", ""))
    said = dict(part.strip().partition("=")[::2] for part in startup.split(","))
    order = said.get("order", "")
    down = said.get("down", "")
    return Stop(
        name,
        vmid,
        float(order) if order.isdigit() else FIRST,
        int(down) if down.isdigit() else DOWN_SECONDS,
    )


def lowest(stops: list[Stop]) -> list[Stop]:
    """Return who stops first: the highest order."""
    first = max((one.order for one in stops), default=0.0)
    return [one for one in stops if one.order == first]


@dataclass(slots=True)
class GuestDrill:
    """Stop and start the lowest tier of one host."""

    town: Town
    host: str
    power: Power
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    seen: list[Seen] = field(default_factory=list)

    def plan(self) -> list[Stop]:
        """Return whom the drill would stop, after a look at each.

        Raises RefusedError when no guest of the town runs there, LaterError when one of them is
        locked by a backup or a move.
        """
        running = []
        for name, guest in self.town.guests.items():
            here = guest.target == self.host and self.power.exists(guest.vmid)
            if not here or not self.power.state(guest.vmid).running:
                continue
            running.append(stop_of(name, guest.vmid, self.power.config(guest.vmid)))
        if not running:
            message = f"{self.host}: no guest of the town runs there, so none can be stopped"
            raise RefusedError(message)
        chosen = lowest(running)
        for one in chosen:
            if lock := self.power.config(one.vmid).get("lock"):
                message = f"{one.name} is locked ({lock}): wait until that is over"
                raise LaterError(message)
        return chosen

    def run(self, stops: list[Stop], evidence: Evidence) -> None:
        """Stop them, start them, judge; raises CheckError before anything stops."""
        self.seen = [Seen(one, self._before(self.town.guests[one.name])) for one in stops]
        with ThreadPoolExecutor(max_workers=len(stops)) as pool:
            try:
                list(pool.map(self._stop, self.seen))
            finally:
                list(pool.map(self._start, self.seen))
        for one in self.seen:
            judge(one, evidence)

    def _runs(self, vmid: int) -> bool:
        try:
            return self.power.state(vmid).running
        except ReleveError:
            return True  # not known: then it has not stopped

    def _before(self, guest: Guest) -> GuestSeen:
        if guest.witness is None:
            return GuestSeen(guest.needs, None)
        try:
            before = ask(*door(guest))
        except WitnessError as error:
            message = f"{error}; a guest that does not answer before cannot prove anything"
            raise CheckError(message) from error
        return GuestSeen(guest.needs, before, before.ms - self.clock() * 1000)

    def _stop(self, one: Seen) -> None:
        stop = one.stop
        self.tell(f"{stop.name}: power button, {stop.seconds} s")
        one.pressed = self.clock()
        try:
            self.power.shutdown(stop.vmid, stop.seconds)
        except ReleveError as error:
            one.late = True
            self.tell(f"{stop.name}: {error}")
        end = one.pressed + max(LEAST_SECONDS, LONGER * stop.seconds)
        while self._runs(stop.vmid):
            if self.clock() > end:
                return
            self.sleep(STEP)
        one.stopped = self.clock() - one.pressed

    def _start(self, one: Seen) -> None:
        if one.stopped is None:
            one.started = "it did not stop and was left as it is"
            return
        begun = self.clock()
        try:
            self.power.start(one.stop.vmid)
        except ReleveError as error:
            one.started = str(error)
            return
        guest = self.town.guests[one.stop.name]
        if guest.witness is None:
            one.back = self.clock() - begun
            return
        try:
            one.guest.after = await_answer(*door(guest), WITNESS_SECONDS)
            one.back = self.clock() - begun
            self._read_back(one, guest)
        except WitnessError as error:
            one.started = str(error)

    def _read_back(self, one: Seen, guest: Guest) -> None:
        """Ask for the records that tell how it stopped and that nothing was lost."""
        before, after = one.guest.before, one.guest.after
        assert before is not None  # noqa: S101  # a guest with a witness was asked before
        assert after is not None  # noqa: S101  # asked for by the caller
        off = one.pressed + (one.stopped or 0) + BETWEEN_SECONDS
        at = off * 1000 + one.guest.ahead_ms
        one.guest.kept = record(*door(guest), before.newest)
        one.guest.last = last_before(guest, before.newest, after.newest, at)


def judge(one: Seen, evidence: Evidence) -> None:
    """Write the checks and the timeline of one guest; pure."""
    name, stop = one.stop.name, one.stop
    needs = f"raise its stop_seconds to more than {one.stopped:.0f} s" if one.stopped else (
        "it does not heed its power button")  # fmt: skip
    evidence.check(
        f"{name}.in-time",
        not one.late and one.stopped is not None,
        None if one.stopped is None else round(one.stopped, 1),
        unit="s",
        limit=stop.seconds,
        note=f"its power would be cut: {needs}" if one.late or one.stopped is None else "",
    )
    if one.guest.before is not None:
        clean, lost = one.guest.stopped_cleanly, not one.guest.lost_nothing
        evidence.check(f"{name}.clean-stop", clean, note=one.guest.why)
        evidence.check(f"{name}.whole", not lost, note=one.guest.why if lost else "")
    evidence.check(
        f"{name}.back",
        one.back is not None,
        None if one.back is None else round(one.back, 1),
        unit="s",
        note=one.started,
    )
    _tell_the_story(one, evidence)


def _tell_the_story(one: Seen, evidence: Evidence) -> None:
    evidence.event(one.stop.name, "power button", iso(one.pressed))
    if one.stopped is not None:
        evidence.event(one.stop.name, "stops", iso(one.pressed + one.stopped))
