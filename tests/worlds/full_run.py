"""Scenarios of the catalogue on full hosts: which ones, how they are run, and what they said."""

from __future__ import annotations

import datetime
import itertools
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.worlds import full
from tests.worlds.catalogue import ALL
from tests.worlds.run import Run
from tests.worlds.runner import FOLDER, Result, job_of, print_verdict, told_to_end

from releve.lab import machine
from releve.lab.ups.machines import Containers, State
from releve.lab.ups.world import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.worlds.scenarios import Scenario
    from tests.worlds.site import Mode
    from tests.worlds.verdict import Outcome

# Scenarios whose hosts are configured alike share a place: what differs is what happens, and what
# the UPS is like. In the second one a host with guests is a client, in the third the clients have
# a host rule. 7a is not there: it fits mode policy's budget of a host with four processors, and a
# full host has its machine's.
PLACES = {
    "town": ("1", "2", "5", "6", "14", "V1-C", "V3-A", "P1", "P3"),
    "behind": ("8-B",),
    "rule": ("D3",),
}
# A server of NUT that does not run: /run/nut is another's there, with upsmon's number in it.
PACKAGES = {"rule": {"nas": ("nut-server",)}}
IDS = tuple(one for ids in PLACES.values() for one in ids)
MODES: tuple[Mode, ...] = ("stock", "policy")
CHOSEN = tuple(one for one in ALL if one.id in IDS)
SETTLE = 20.0  # seconds for which everybody is logged in between two worlds: rewake ends a cycle
READY_SECONDS = 180.0
# A battery is full again at once here, and mode policy would go on reckoning with the spent one.
FORGET = (
    "sh",
    "-c",
    "systemctl stop nut-driver.target && rm -f /var/lib/releve-policy/*.ladder.json"
    " && systemctl start nut-driver.target",
)
GRACE = 60.0  # seconds after a world's end in which hosts come back: systemd boots in its own time
# What the light worlds' hosts note of their log.
PROGRAMS = (
    "nut-monitor",
    "upsd",
    "upssched",
    "power-timer",
    "rewake",
    "boot-gate",
    "policy",
    "hostrule",
)


@dataclass(slots=True)
class FullRun(Run):
    """One world on the hosts of a place, which run before it and after it."""

    place: full.Place = field(kw_only=True)
    begun: float = 0.0

    def __post_init__(self) -> None:
        """Hang the place's hosts on UPSes of this world's own."""
        self.hosts = hosts = self.place.hosts
        hosts.journal = Journal(self.folder / "events.jsonl")
        hosts.view = Containers(hosts.pids, hosts.kill, hosts.start_later)
        self.ready_seconds = READY_SECONDS
        self.assemble(self.place.ups)

    @property
    def settle_seconds(self) -> float:
        """How long everybody has to be logged in before anything happens."""
        return SETTLE

    def run(self) -> Outcome:
        """Run it; raises NotReadyError, EndedError, CommandError."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for world in self.worlds.values():
            world.prepare()
        for host in self.site.addresses:
            (self.hosts.shared(host) / "events.jsonl").unlink(missing_ok=True)
            if self.hosts.view.state(host) is State.RUNNING:
                self.journal.note(host, "boot", "has run since before")
        if self.site.mode == "policy":
            self.journal.note("world", "said", self.hosts.inside(self.site.primary, *FORGET))
        self.begun = time.time()
        return self.live()

    def is_over(self, elapsed: float) -> bool:
        """Tell whether it ends: when its time is over, and everybody is back or should be."""
        if elapsed < self.seconds:
            return False
        up = all(self.hosts.view.state(host) is State.RUNNING for host in self.site.addresses)
        return (up and self.must_be_in() <= self.logged_in()) or elapsed >= self.seconds + GRACE

    def end(self) -> Outcome:
        """Fetch what the hosts have told, then judge as of any world."""
        for host in self.site.addresses:
            told = self.folder / "hosts" / host / "events.jsonl"
            told.parent.mkdir(parents=True)
            events = self.hosts.shared(host) / "events.jsonl"
            text = events.read_text(encoding="utf-8") if events.exists() else ""
            told.write_text(text + self._logs(host), encoding="utf-8")
        return Run.end(self)

    def _logs(self, host: str) -> str:
        """Return what the programs of a host have said, as events."""
        words = [
            "journalctl",
            "--merge",
            "--no-pager",
            "--output=json",
            f"--since=@{self.begun:.0f}",
        ]
        words += [f"--identifier={name}" for name in PROGRAMS]
        found = []
        for text in self.hosts.inside(host, *words).splitlines():
            if not text.startswith("{"):
                continue
            line = json.loads(text)
            moment = datetime.datetime.fromtimestamp(
                int(line["__REALTIME_TIMESTAMP"]) / 1e6, tz=datetime.UTC
            )
            program = line["SYSLOG_IDENTIFIER"]
            event = {
                "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "subject": host,
                "kind": "log",
                "what": f"{program}: {line['MESSAGE']}",
                "priority": int(line.get("PRIORITY", 6)),
                "program": program,
            }
            found.append(json.dumps(event) + "\n")
        return "".join(found)


def run_on(place: full.Place, scenario: Scenario, mode: Mode) -> Result:
    """Run a scenario on a place that was set up in this mode."""
    job = job_of(scenario, mode)
    folder = FOLDER / "full" / job.name
    outcome = FullRun(
        job.site, job.events, job.seconds, folder, place.folder, 0, job.awaited, place=place
    ).run()
    return Result(job.name, outcome)


def run_all(
    modes: Iterable[Mode],
    ids: Iterable[str] = (),
    tell: Callable[[Scenario, Mode, Result], object] = lambda *_ended: None,
) -> dict[tuple[str, Mode], Result]:
    """Set a place up in each mode, one after the other, and run the scenarios on it.

    Without `ids` all of them; `tell` hears of each when it ends. A signal to end takes the hosts
    down, then raises KeyboardInterrupt.
    """
    machine.need_root()
    full.sweep()
    full.ensure_images()
    wanted, found = set(ids) or set(IDS), {}
    with told_to_end(threading.Event()):
        for number, (mode, name) in enumerate(itertools.product(modes, PLACES)):
            scenarios = [one for one in of_place(name) if one.id in wanted]
            if not scenarios:
                continue
            folder = FOLDER / "full" / f"{name}-{mode}"
            site, packages = scenarios[0].site_in(mode), PACKAGES.get(name, {})
            with full.Place(site, folder, number, packages).up() as place:
                for scenario in scenarios:
                    found[scenario.id, mode] = run_on(place, scenario, mode)
                    tell(scenario, mode, found[scenario.id, mode])
    return found


def of_place(name: str) -> list[Scenario]:
    """Return the scenarios that share a place."""
    return [one for one in CHOSEN if one.id in PLACES[name]]


def print_verdicts(modes: Iterable[Mode], ids: Iterable[str]) -> int:
    """Run scenarios, print and keep how each ended; return how many faults there are."""
    bad: list[str] = []

    def tell(scenario: Scenario, mode: Mode, result: Result) -> None:
        bad.extend(print_verdict(scenario, mode, result, "-full"))

    run_all(modes, ids, tell)
    return len(bad)
