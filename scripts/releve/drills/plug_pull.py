"""Level 4 of the power drill: a person pulls the plug of the UPS, and puts it back in time.

The site goes on all the while. What is proved is what nothing else can: that this UPS says "on
battery" when its mains go. One that does not within 10 s may guard nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from releve.drills.evidence import now
from releve.drills.ups_host import note_battery, reading_of
from releve.errors import LaterError, RefusedError
from releve.power.measure import record_of
from releve.power.measurement import OB_WITHIN_SECONDS
from releve.power.readings import read
from releve.power.status import on_line, supplies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from releve.drills.evidence import Evidence
    from releve.drills.ups_host import Sample
    from releve.power.look import UpsSeen
    from releve.power.measurement import Measurement
    from releve.town.power import Tier

TRIES_SECONDS = 20.0  # for the first looks before anybody is asked for anything
BEFORE_SECONDS = 3.0  # of looks on line, for what the values were
BACK_SECONDS = 120.0  # within which the UPS has to say OL, once the plug is back
LOUD_SECONDS = 2.0  # between two calls to put the plug back
LEAST_TIMER = 6  # seconds; a shorter timer leaves no time to put a plug back
FLOOR_SHARE = 0.5  # of the time on battery after which the site is shut down
FLOOR_SECONDS = 300.0  # longer proves nothing more; a capacity is measured by releve power measure
FLOOR_CHARGE = 50.0
FULL_CHARGE = 100.0
STEP = 0.1


class Person(Protocol):
    """Who stands at the UPS."""

    def read(self, lines: tuple[str, ...]) -> None:
        """Show a text."""

    def out(self) -> bool:
        """Ask for the plug to be pulled; return whether the person says that it is out by now."""

    def shout(self, line: str) -> None:
        """Show a line that nobody can miss; may be called again and again."""

    def back(self) -> bool:
        """Return whether the person says that the plug is in again; never waits."""


class Watching(Protocol):
    """Looks at the UPS, once a second, in the background."""

    samples: list[Sample]

    @property
    def last(self) -> Sample | None:
        """The newest look."""

    def first(self, word: str, since: float) -> Sample | None:
        """The first look since a moment in which the UPS said a word."""


@dataclass(frozen=True, slots=True)
class Floor:
    """When the plug has to go back: seconds on battery, percent, seconds of runtime."""

    seconds: float
    charge: float
    runtime: float | None

    @classmethod
    def of(cls, budget: dict[str, Any], seen: UpsSeen) -> Floor:
        """Return the floor: half-way between how it is now and the site's own shutdown.

        `budget` is what the host works with, `seen` what the UPS says on line; raises RefusedError
        when its timer leaves no time.
        """
        timer = budget["timer"]
        if timer < LEAST_TIMER:
            message = (
                f"the site is shut down after {timer:g} s on battery: too soon to put a plug back;"
                " give the UPS a bigger battery, or the guests less time to stop"
            )
            raise RefusedError(message)
        known = read(seen.variables)
        low, charge_low = budget.get("runtime_low"), budget.get("charge_low")
        runtime = (low + known.runtime) / 2 if low and known.runtime else None
        charge = max(FLOOR_CHARGE, (charge_low + FULL_CHARGE) / 2 if charge_low else 0)
        return cls(min(FLOOR_SECONDS, FLOOR_SHARE * timer), charge, runtime)

    def reached(self, seconds: float, seen: UpsSeen | None) -> str:
        """Return why the plug has to go back now, nothing while it may stay out."""
        if seconds >= self.seconds:
            return f"{seconds:.0f} s on battery"
        if seen is None:
            return ""
        if "LB" in seen.status:
            return "the UPS says that its battery is low"
        known = read(seen.variables)
        if known.charge is not None and known.charge <= self.charge:
            return f"the battery is at {known.charge:g} %"
        if self.runtime and known.runtime is not None and known.runtime <= self.runtime:
            return f"the UPS says {known.runtime:g} s of runtime"
        return ""


@dataclass(slots=True)
class PlugPull:
    """One pull; `clients` are the addresses that have to stay logged in."""

    ups: str
    host: str
    clients: tuple[str, ...]
    person: Person
    watch: Watching
    budget: dict[str, Any]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    floor: Floor = field(init=False)
    out_at: float = 0.0
    seen_after: float | None = None
    why: str = ""
    online: float | None = None
    moments: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self, evidence: Evidence) -> Measurement:
        """Do it and judge; returns the record for `releve power measure`.

        Raises LaterError before the plug is out when the UPS or the site is not as it must be,
        RefusedError when the site would be shut down before anybody could put it back.
        """
        self.floor = Floor.of(self.budget, self._await_quiet())
        self.person.read(checklist(self.ups, self.host, self.floor))
        self._wait_for(BEFORE_SECONDS)
        self._await_the_pull()
        self._watch_it_on_battery()
        self._ask_for_the_plug()
        self._judge(evidence)
        return self._record()

    def _await_quiet(self) -> UpsSeen:
        """See the UPS on line, and everybody logged in; returns what it says."""
        end = self.clock() + TRIES_SECONDS
        while self._seen() is None:
            if self.clock() > end:
                last = self.watch.last
                message = f"{self.ups}: no data from {self.host}: {last.error if last else 'none'}"
                raise LaterError(message)
            self.sleep(STEP)
        seen = self._seen()
        assert seen is not None  # noqa: S101  # seen above
        if not supplies(seen.status) or seen.status & {"CAL", "TEST"}:
            message = f"{self.ups} says {' '.join(sorted(seen.status))}, not OL: wait for it"
            raise LaterError(message)
        if missing := set(self.clients) - set(seen.clients):
            message = f"{', '.join(sorted(missing))} not logged in at {self.ups}: run power.yml"
            raise LaterError(message)
        return seen

    def _seen(self) -> UpsSeen | None:
        return self.watch.last.seen if self.watch.last else None

    def _note(self, subject: str, what: str, at: str | None = None) -> None:
        self.moments.append((subject, what, at or now()))

    def _wait_for(self, seconds: float) -> None:
        end = self.clock() + seconds
        while self.clock() < end:
            self.sleep(STEP)

    def _await_the_pull(self) -> None:
        """Wait for the person's word, or for the UPS's when that comes first."""
        asked = self.clock()
        while not self.person.out() and self.watch.first("OB", asked) is None:
            self.sleep(STEP)
        self.out_at = self.clock()
        self._note("mains", "mains are lost")

    def _watch_it_on_battery(self) -> None:
        """Wait for "on battery", then until a floor is reached."""
        end = self.out_at + OB_WITHIN_SECONDS
        while (first := self.watch.first("OB", self._since())) is None:
            if self.clock() > end:
                self.why = f"it does not say OB {OB_WITHIN_SECONDS:g} s after the plug is out"
                return
            self.sleep(STEP)
        self.seen_after = max(0.0, first.steady - self.out_at)
        self._note(self.ups, "on battery", first.at)
        while not self.why:
            # From when the UPS said so: that is when the site's own timer began.
            self.why = self.floor.reached(self.clock() - first.steady, self._seen())
            self.sleep(STEP)

    def _since(self) -> float:
        """Return since when "on battery" means this pull: some pull first and then say so."""
        before = [one for one in self.watch.samples if one.seen and on_line(one.seen.status)]
        line = [one.steady for one in before if one.steady < self.out_at]
        return max(line, default=self.out_at)

    def _ask_for_the_plug(self) -> None:
        """Call until the UPS is on line again, or the person says so and it still is not."""
        said: float | None = None
        asked = loud = self.clock()
        self._note(self.ups, f"the plug is asked for: {self.why}")
        while True:
            last = self.watch.last
            if self.seen_after is not None and last and last.seen and last.steady > asked \
                    and on_line(last.seen.status):  # fmt: skip
                self.online = last.steady - asked
                self._note(self.ups, "on line again", last.at)
                return
            if said is None and self.person.back():
                said = self.clock()
                self._note("mains", "mains are back")
                if self.seen_after is None:
                    return  # it said OL all the time: there is nothing to wait for
            if said is None and self.clock() >= loud:
                self.person.shout(f"PUT THE PLUG BACK NOW: {self.why}")
                loud = self.clock() + LOUD_SECONDS
            if said is not None and self.clock() - said > BACK_SECONDS:
                return
            self.sleep(STEP)

    def _judge(self, evidence: Evidence) -> None:
        after = self.seen_after
        evidence.check(
            "on-battery-seen",
            after is not None and after <= OB_WITHIN_SECONDS,
            None if after is None else round(after, 1),
            unit="s",
            limit=OB_WITHIN_SECONDS,
            note="" if after is not None else
            "this UPS may not guard anything: it does not see its mains go",
        )  # fmt: skip
        evidence.check(
            "on-line-again",
            after is None or self.online is not None,
            None if self.online is None else round(self.online, 1),
            unit="s",
            note="from the first call to put the plug back",
        )
        seen = [one.seen for one in self.watch.samples if one.seen and one.steady >= self.out_at]
        evidence.check("no-shutdown", not any(one.told for one in seen))
        gone = {one for look in seen for one in set(self.clients) - set(look.clients)}
        evidence.check("clients-stay", not gone, note=", ".join(sorted(gone)))
        self._tell_the_story(evidence)

    def _tell_the_story(self, evidence: Evidence) -> None:
        for subject, what, at in self.moments:
            evidence.event(subject, what, at)
        note_battery(evidence, self.ups, self.watch.samples)

    def _record(self) -> Measurement:
        """Return what was measured; no capacity: the plug went back long before the end."""
        record = record_of(
            [reading_of(one, self.out_at) for one in self.watch.samples],
            ups=self.ups,
            how="plug-pull",
            on=datetime.datetime.now(tz=datetime.UTC).date(),
            stopped=True,
        )
        return dataclasses.replace(record, capacity_seconds=None)


def of_the_first(budget: dict[str, Any], tiers: Iterable[Tier]) -> dict[str, Any]:
    """Return the budget with the thresholds of the tier that stops first; as it is without any."""
    each = tuple(tiers)
    after = [one.after_seconds for one in each if one.after_seconds is not None]
    below = [one.below_seconds for one in each if one.below_seconds is not None]
    low = budget.get("runtime_low")
    return budget | {
        "timer": min([budget["timer"], *after]),
        "runtime_low": max([*([] if low is None else [low]), *below], default=None),
    }


def checklist(ups: str, host: str, floor: Floor) -> tuple[str, ...]:
    """Return what a person has to know before the plug is pulled."""
    runtime = f", {floor.runtime:.0f} s of runtime" if floor.runtime else ""
    return (
        f"The plug of {ups} (its cable is at {host}) is pulled while everything works.",
        "Who: one person at the plug, one at this screen, and they hear each other.",
        "Before: a backup of last night; nobody in the middle of work that cannot wait;",
        "  the right plug: follow the cable from the UPS to the wall; nothing else hangs on it.",
        "Photos: the plug in the wall, the UPS's display before, on battery, and after.",
        f"The plug goes back after {floor.seconds:.0f} s, at {floor.charge:.0f} % of charge"
        f"{runtime}, or at the first word of a low battery: this screen will say so, loudly.",
        "If it goes wrong: put the plug back at once. If hosts stop all the same, let them stop;",
        "  they start by themselves when the UPS gives its output back. Then read",
        "  docs/how-to/survive-a-power-cut.md.",
        f'If the UPS does not say "on battery" within {OB_WITHIN_SECONDS:.0f} s it may guard'
        " nothing, whatever else it can.",
    )


def write_record(record: Measurement, folder: Path) -> Path:
    """Write the record beside the evidence, for `releve power measure`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{record.ups}.json"
    file.write_text(record.as_json(), encoding="utf-8")
    return file
