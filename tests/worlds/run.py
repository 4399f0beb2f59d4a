"""Run one world: make it, wait until everybody is logged in, let its events happen, judge it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.worlds.hosts import Hosts
from tests.worlds.switch import Switch
from tests.worlds.verdict import Line, Outcome, judge

from releve.lab import network
from releve.lab.ups import magic
from releve.lab.ups.battery import Battery
from releve.lab.ups.machines import State
from releve.lab.ups.world import Journal, World
from releve.power.rewake import look_at
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.worlds.site import Site

TICK = 0.1  # seconds
LOOK = 1.0  # seconds between two looks at who is logged in
READY_SECONDS = 60.0
LAST_LOOKS = 5  # at who is logged in at the end


@dataclass(frozen=True, slots=True)
class Event:
    """At `at` seconds after everybody was ready, `what` happens; see Run.happen for the words.

    `ups`: to this one alone, else to all.
    """

    at: float
    what: str
    value: Any = None
    ups: str = ""


class NotReadyError(Exception):
    """A world in which not everybody logged in before anything had happened."""


class EndedError(Exception):
    """A world that was taken down before its end, since the run was told to end."""


@dataclass(slots=True)
class Run:
    """One world from its making to its verdict; `folder` is its own and is made anew.

    `ended`: set by who wants all worlds taken down.
    """

    site: Site
    events: Sequence[Event]
    seconds: float
    folder: Path
    root: Path
    number: int
    awaited: frozenset[str] | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    hosts: Hosts = field(init=False)
    worlds: dict[str, World] = field(init=False)
    journal: Journal = field(init=False)
    switch: Switch = field(init=False)
    lag: float = 0.0
    whole_since: float | None = None
    ready_seconds: float = READY_SECONDS

    def __post_init__(self) -> None:
        """Put the parts together."""
        journal = Journal(self.folder / "events.jsonl")
        switch = Switch.of(self.number, self.site.addresses)
        self.hosts = Hosts(self.site, self.folder, self.root, switch, journal)
        self.assemble(self.folder / "ups")

    def assemble(self, folder: Path) -> None:
        """Hang the hosts on their UPSes, which live in `folder`."""
        site = self.site
        self.journal, self.switch = self.hosts.journal, self.hosts.switch
        wake = {host.mac: host.name for host in site.hosts if host.wakes}
        self.worlds = {}
        for ups in site.ups:
            self.worlds[ups] = World(
                ups=ups,
                folder=folder,
                machines=self.hosts.view,
                journal=self.journal,
                battery=Battery(site.capacity),
                fed=tuple(site.addresses),
                # A host that two UPSes feed is woken by one of them.
                wake=wake if ups == site.ups[0] else {},
                carried=functools.partial(self._carried, ups),
                behaviour=site.behaviour,
                low_battery_seconds=site.low_battery,
            )

    def _carried(self, ups: str, _host: str) -> bool:
        """Whether another UPS than this one gives power; each feeds all hosts."""
        return any(world.output for name, world in self.worlds.items() if name != ups)

    def run(self) -> Outcome:
        """Run it; raises RefusedError as the roles do, NotReadyError, EndedError, CommandError."""
        if self.ended.is_set():
            raise EndedError
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for world in self.worlds.values():
            world.prepare()
        self.hosts.prepare()
        try:
            self.switch.make()
            return self.live()
        finally:
            self.hosts.end()
            self.switch.remove()
            shutil.rmtree(self.folder / "disks", ignore_errors=True)

    def live(self) -> Outcome:
        """Let it run from the first boot to its end; return the verdict."""
        for host in self.site.addresses:
            self.hosts.start(host)
        for world in self.worlds.values():
            world.obey({"lies": self.site.lies})
        todo = sorted(self.events, key=lambda event: event.at)
        begin: float | None = None
        self.lag = 0.0
        started = last = time.monotonic()
        looked = 0.0
        with magic.listen(network.NETNS / self.switch.name) as heard:
            while begin is None or not self.is_over(last - begin):
                if self.ended.wait(TICK):
                    raise EndedError
                now = time.monotonic()
                self.lag = max(self.lag, now - last)
                called = magic.heard_addresses(heard)
                for world in self.worlds.values():
                    world.tick(now, now - last, called)
                self.hosts.tick(output=any(world.output for world in self.worlds.values()))
                last = now
                if begin is None and now - looked >= LOOK:
                    looked, begin = now, self.ready(now - started)
                while begin is not None and todo and now - begin >= todo[0].at:
                    self.happen(todo.pop(0))
        return self.end()

    def is_over(self, elapsed: float) -> bool:
        """Tell whether it ends, `elapsed` seconds after everybody was ready."""
        return elapsed >= self.seconds

    def ready(self, after: float) -> float | None:
        """Return the moment when everybody who is awaited is in and has polled, None before it.

        A monitor logs in at a UPS that says nothing yet, and learns at its next poll that it does.
        """
        missing = ", ".join(sorted(self.must_be_in() - self.logged_in()))
        if not missing and self.whole_since is None:
            self.whole_since = after
        if not missing and after - (self.whole_since or after) > self.settle_seconds:
            self.journal.note("world", "ready", f"ready after {after:.0f} s")
            return time.monotonic()
        if missing:
            self.whole_since = None
        if missing and after > self.ready_seconds:
            message = (
                f"{self.folder.name}: {missing} not logged in after {self.ready_seconds:.0f} s"
            )
            raise NotReadyError(message)
        return None

    def must_be_in(self) -> set[str]:
        """Return the hosts that have to be logged in before anything happens, and at the end."""
        return set(self.site.addresses if self.awaited is None else self.awaited)

    @property
    def settle_seconds(self) -> float:
        """How long everybody has to be logged in before anything happens."""
        return self.site.poll_seconds

    def logged_in(self) -> set[str]:
        """Return the hosts that are logged in wherever they monitor, the primary locally."""
        clients: dict[str, frozenset[str]] = {}
        with (
            contextlib.suppress(OSError),
            magic.inside(network.NETNS / self.switch.namespace(self.site.primary)),
        ):
            for name in self.site.followed(self.site.primary):
                with contextlib.suppress(NoAnswerError):
                    clients[name] = look_at(name, "127.0.0.1").clients
        found = set()
        for host, address in self.site.addresses.items():
            own = {"127.0.0.1", "::1"} if host == self.site.primary else {address}
            names = self.site.followed(host)
            if all(own & clients.get(name, frozenset()) for name in names):
                found.add(host)
        return found

    def _in_at_last(self) -> set[str]:
        """Return who is logged in at the end; a look that a busy upsd left unanswered is none."""
        for _look in range(LAST_LOOKS):
            found = self.logged_in()
            if self.must_be_in() <= found:
                break
            time.sleep(LOOK)
        return found

    def happen(self, event: Event) -> None:
        """Let one event happen; a word that the UPS knows goes to it."""
        words = event.what if event.value is None else f"{event.what} {event.value}"
        self.journal.note("world", "event", words, event=event.what)
        match event.what:
            case "switch":
                self.switch.power(up=event.value == "on")
            case "unplug" | "plug":
                self.switch.port(event.value, up=event.what == "plug")
            case "kill":
                self.hosts.kill(event.value)
            case "press":
                self.hosts.view.power_on(event.value)
            case "do":
                # Beside the world, which goes on meanwhile.
                threading.Thread(target=self._do, args=event.value, daemon=True).start()
            case _:
                for ups, world in self.worlds.items():
                    if event.ups in {"", ups}:
                        world.obey({event.what: event.value})

    def _do(self, host: str, *argv: str) -> None:
        """Run a program on a host, and note what it says."""
        said = self.hosts.inside(host, *argv)
        self.journal.note(host, "said", said[:300])

    def end(self) -> Outcome:
        """Look at everybody for the last time; return the verdict."""
        states = {host: self.hosts.view.state(host) for host in self.site.addresses}
        running = {host for host, state in states.items() if state is State.RUNNING}
        lines = timeline(self.folder)
        names = tuple(self.site.addresses)
        outcome = dataclasses.replace(
            judge(lines, running, self._in_at_last(), names, self.must_be_in()),
            lag=round(self.lag, 1),
        )
        (self.folder / "timeline.json").write_text(
            json.dumps({"lines": [line.as_json() for line in lines]}, indent=0), encoding="utf-8"
        )
        return outcome


def timeline(folder: Path) -> list[Line]:
    """Return what the power side and the hosts have said, in seconds from when all were ready."""
    files = [folder / "events.jsonl", *sorted(folder.glob("hosts/*/events.jsonl"))]
    found = [
        json.loads(text) for file in files for text in file.read_text(encoding="utf-8").splitlines()
    ]
    found.sort(key=lambda line: str(line["at"]))
    zero = next((_moment(line["at"]) for line in found if line["kind"] == "ready"), 0.0)
    return [
        Line(
            round(_moment(line.pop("at")) - zero, 2),
            line.pop("subject"),
            line.pop("kind"),
            line.pop("what"),
            line,
        )
        for line in found
    ]


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
