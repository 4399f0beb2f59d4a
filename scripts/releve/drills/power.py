"""Drill `power`: the mains are lost, everything stops in order, and is back by itself.

What a host was doing when its power went is told by the power side, from outside of the hosts;
whether a guest stopped cleanly is told by its own chain, after it is back.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.command import CommandError
from releve.drills.evidence import COMMISSIONING, Evidence, now
from releve.drills.power_after import judge_flags
from releve.drills.power_verdict import GuestSeen, PowerSeen, judge
from releve.drills.ups_host import UpsHost, Watch, hosts_of, note_battery, reading_of
from releve.drills.witnessed import door, last_before
from releve.errors import CheckError, LaterError
from releve.power.measure import record_of
from releve.power.status import supplies
from releve.power.upsd import NoAnswerError
from releve.ssh import Ssh
from releve.witness import WitnessError, ask, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.drills.mains import Mains, PowerEvent
    from releve.power.measure import Reading
    from releve.power.measurement import Measurement
    from releve.town.model import Guest, Town
    from releve.town.power import Ups

EVENT_FILE = "/var/lib/releve-rewake/event-{ups}"  # as role nut_primary has it
DARK_SECONDS = 3.0  # between the output going off and the mains coming back
BACK_SECONDS = 150.0  # within which everybody has to be back, from the return of the mains
LOOK_SECONDS = 0.5  # between two looks while it goes down
SPARE_SECONDS = 60.0  # beyond the budget, before the drill stops waiting for the output to go off


@dataclass(slots=True)
class PowerDrill:
    """One power cut of one UPS."""

    town: Town
    mains: Mains
    ups_name: str
    tell: Callable[[str], None]
    seen: PowerSeen = field(init=False)
    readings: list[Reading] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with nothing seen."""
        self.seen = PowerSeen(self.ups_name, self.ups.host, self.clients)

    @property
    def ups(self) -> Ups:
        """The UPS whose mains are cut."""
        return self.town.ups[self.ups_name]

    @property
    def clients(self) -> tuple[str, ...]:
        """The hosts that log in there, and so can be looked at."""
        return self.town.secondaries(self.ups_name)

    @property
    def host(self) -> UpsHost:
        """The host with the cable."""
        return UpsHost.of(self.town, self.ups_name)

    def run(self, folder: Path) -> Evidence:
        """Cut, watch, give back, judge; write the evidence.

        Raises LaterError or CheckError before the cut when the site is not whole, CheckError
        after it when something was not as promised.
        """
        with Evidence("power", folder) as evidence:
            self._look_before(evidence)
            with Watch.of(self.host, self.ups_name, LOOK_SECONDS) as watch:
                self._await_a_look(watch)
                lost = time.monotonic()
                self.mains.switch(on=False)
                try:
                    self._watch_it_go_down(watch)
                    time.sleep(DARK_SECONDS)
                finally:
                    self.mains.switch(on=True)
            note_battery(evidence, self.ups_name, watch.samples)
            self.readings = [reading_of(one, lost) for one in watch.samples]
            self._watch_it_come_back()
            self.seen.power = self.mains.events()
            judge(self.seen, evidence)
            judge_flags(hosts_of(self.town, self.ups_name), evidence)
        if not evidence.passed:
            failed = ", ".join(check.id for check in evidence.checks if not check.passed)
            message = f"drill power: failed: {failed} (see {evidence.path})"
            raise CheckError(message)
        return evidence

    def record(self) -> Measurement:
        """Return what the cut measured of the UPS, for `releve power measure`."""
        off, on = self.seen.first("output-off"), self.seen.first("output-on")
        record = record_of(
            self.readings,
            ups=self.ups_name,
            how="drill",
            on=datetime.datetime.now(tz=datetime.UTC).date(),
            # On command, long before the battery was empty: that is no end of it.
            output_off=off is not None and self.seen.first("command") is None,
        )
        if off is None:
            return record
        return dataclasses.replace(
            record,
            cut="proven" if self.seen.first("command") else record.cut,
            off_seconds=round(on.unix - off.unix, 1) if on else None,
            returned=on is not None,
        )

    def _look_before(self, evidence: Evidence) -> None:
        """See that the site is whole; a drill on a broken one would prove nothing."""
        capacity = self.town.capacity_of(self.ups_name)
        unit = "" if capacity is None else "s"
        evidence.check(
            f"{self.ups_name}.capacity", passed=True, value=capacity or COMMISSIONING, unit=unit
        )
        try:
            look = self.host.look(self.ups_name)
        except NoAnswerError as error:
            message = f"{self.ups_name}: no fresh data: {error}"
            raise LaterError(message) from error
        if not supplies(look.status):
            message = f"{self.ups_name} says {' '.join(sorted(look.status))}, not OL: wait for it"
            raise LaterError(message)
        for client in self.clients:
            there = str(self.town.hosts[client].address) in look.clients
            if not evidence.check(f"{client}.logged-in-before", there):
                message = f"{client} is not logged in at {self.ups_name}: run playbooks/power.yml"
                raise CheckError(message)
        running = self._guests_there()
        for name, guest in self._guests().items():
            before = ask(*door(guest)) if name in running else None
            ahead = before.ms - time.time() * 1000 if before else 0
            self.seen.guests[name] = GuestSeen(guest.needs, before, ahead)
        budget = Ssh.to(self.town, self.ups.host).run("cat /etc/releve/power-budget.json").stdout
        self.seen.budget = json.loads(budget)[self.ups_name]

    def _guests(self) -> dict[str, Guest]:
        return {
            name: guest
            for name, guest in self.town.guests.items()
            if guest.target == self.ups.host and guest.witness
        }

    def _guests_there(self) -> set[str]:
        """Return the guests that run on the UPS's host now; others cannot prove anything."""
        listed = Ssh.to(self.town, self.ups.host).run("ls /run/qemu-server/", check=False).stdout
        running = {file.removesuffix(".pid") for file in listed.split() if file.endswith(".pid")}
        return {name for name, guest in self._guests().items() if str(guest.vmid) in running}

    def _await_a_look(self, watch: Watch) -> None:
        """See that the watch works before there is something to see."""
        limit = time.monotonic() + SPARE_SECONDS
        while watch.last is None or watch.last.seen is None:
            if time.monotonic() > limit:
                why = watch.last.error if watch.last else "nothing was said"
                message = f"{self.ups_name}: {self.ups.host} does not say how it is: {why}"
                raise LaterError(message)
            time.sleep(0.1)

    def _watch_it_go_down(self, watch: Watch) -> None:
        """Look until the output is off, or longer than the budget allows."""
        budget = self.seen.budget
        longest = budget["capacity"] or budget["timer"] + budget["need"]
        limit = time.monotonic() + longest + SPARE_SECONDS
        while time.monotonic() < limit:
            for word, what in (("OB", "on battery"), ("FSD", "shutdown begins")):
                found = None if word in self.seen.words else watch.first(word)
                if found is not None:
                    self.seen.words[word] = found.at
                    self.tell(f"{self.ups_name}: {what}")
            if not self.seen.told and (told := watch.first_told()):
                self.seen.told = told.at
            if self._events("output-off"):
                self.tell(f"{self.ups_name}: output off")
                return
            time.sleep(0.2)

    def _events(self, kind: str) -> list[PowerEvent]:
        return [event for event in self.mains.events() if event.kind == kind]

    def _watch_it_come_back(self) -> None:
        """Note when each part is back; give up after BACK_SECONDS."""
        begun = time.monotonic()
        parts: dict[str, Callable[[], bool]] = {
            f"host {name}": self._answers(name) for name in (self.ups.host, *self.clients)
        }
        parts["data"] = self._data_are_fresh
        parts["event"] = self._event_is_closed
        for client in self.clients:
            parts[f"login {client}"] = self._logged_in(client)
        for name, guest in self.seen.guests.items():
            if guest.before:
                parts[f"guest {name}"] = self._guest_is_back(name)
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            waits = {part: pool.submit(_wait_for, back) for part, back in parts.items()}
        for part, wait in waits.items():
            result = wait.result()
            if result is None:
                self.seen.missing.append(part)
            else:
                self.seen.back[part] = (result[0] - begun, result[1])
                self.tell(f"{part} is back after {result[0] - begun:.0f} s")

    def _answers(self, name: str) -> Callable[[], bool]:
        def back() -> bool:
            try:
                return Ssh.to(self.town, name).run("true", timeout=10, check=False).returncode == 0
            except CommandError:
                return False

        return back

    def _data_are_fresh(self) -> bool:
        try:
            status = self.host.look(self.ups_name).status
        except NoAnswerError:
            return False
        return supplies(status)

    def _event_is_closed(self) -> bool:
        """Tell whether rewake has ended the power event: everybody in, for a while.

        There is one for each UPS that monitors follow.
        """
        files = [EVENT_FILE.format(ups=name) for name in self.ups.followed(self.ups_name)]
        try:
            looked = Ssh.to(self.town, self.ups.host).run(
                " && ".join(f"test ! -e {file}" for file in files), check=False
            )
        except CommandError:
            return False
        return looked.returncode == 0

    def _logged_in(self, client: str) -> Callable[[], bool]:
        def back() -> bool:
            try:
                clients = self.host.look(self.ups_name).clients
            except NoAnswerError:
                return False
            return str(self.town.hosts[client].address) in clients

        return back

    def _guest_is_back(self, name: str) -> Callable[[], bool]:
        guest, seen = self.town.guests[name], self.seen.guests[name]

        def back() -> bool:
            if seen.before is None:
                return False
            try:
                status = ask(*door(guest))
                if status.boots <= seen.before.boots:
                    return False
                seen.kept = record(*door(guest), seen.before.newest)
                seen.last = last_before(guest, seen.before.newest, status.newest, self._cut_ms())
            except WitnessError:
                return False
            seen.after = status
            return True

        return back

    def _cut_ms(self) -> float:
        """Return when the output went off, in Unix milliseconds (now, when it never did)."""
        for event in self._events("output-off"):
            return event.unix * 1000
        return time.time() * 1000


def _wait_for(back: Callable[[], bool]) -> tuple[float, str] | None:
    """Return when it was back, by the steady clock and in UTC; None after BACK_SECONDS."""
    limit = time.monotonic() + BACK_SECONDS
    while time.monotonic() < limit:
        if back():
            return time.monotonic(), now()
        time.sleep(0.3)
    return None
