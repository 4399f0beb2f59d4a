"""The scenarios as data: what happens, and how each mode is to end it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.worlds.run import Event
from tests.worlds.site import Guest, Host, Mode, Site
from tests.worlds.verdict import Outcome

# rides: nobody stops. clean: everybody stops in order and comes back. early: the same, though the
# battery would have carried it. refused: the deploy says no. cut: somebody loses power while
# running. dark: somebody stays off when the mains are back.
End = Literal["rides", "clean", "early", "refused", "cut", "dark"]
Check = Callable[[Outcome], str]  # nothing, or one sentence that says what is wrong

PVE = Host(
    "pve1",
    "198.51.100.11",
    "52:54:00:33:00:11",
    (Guest("compta", 1, 3, 4), Guest("dossiers", 2, 3, 5), Guest("accueil", 2, 2, 5)),
)
NAS = Host("nas", "198.51.100.12", "52:54:00:33:00:12", stop_seconds=2, monitor_delay=0.7)
GATEWAY = Host("gw", "198.51.100.13", "52:54:00:33:00:13", monitor_delay=1.3)
TOWN = Site((PVE, NAS, GATEWAY), "pve1")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`expected`: the end in each mode in which it can happen; `why`: what has to be said of it.

    `sites`: the site in a mode that needs another one.
    """

    id: str
    title: str
    events: tuple[Event, ...]
    seconds: float
    expected: Mapping[Mode, End]
    site: Site = TOWN
    why: Mapping[Mode, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    awaited: frozenset[str] | None = None
    sites: Mapping[Mode, Site] = field(default_factory=dict)

    def site_in(self, mode: Mode) -> Site:
        """Return the site as it is set up in a mode."""
        return dataclasses.replace(self.sites.get(mode, self.site), mode=mode)


def end_of(outcome: Outcome) -> End:
    """Return how a world ended."""
    if outcome.unclean:
        return "cut"
    if not outcome.back:
        return "dark"
    return "rides" if outcome.rode else "clean"


def faults(scenario: Scenario, mode: Mode, outcome: Outcome) -> list[str]:
    """Return what is not as it is expected; nothing when all is."""
    expected, seen = scenario.expected[mode], end_of(outcome)
    found = [] if seen == expected.replace("early", "clean") else [f"{seen} instead of {expected}"]
    good = expected in {"rides", "clean", "early"}
    checks = (*ALWAYS, *scenario.checks) if good else scenario.checks if mode != "plain" else ()
    return found + [words for check in checks if (words := check(outcome))]


def no_early_cut(outcome: Outcome) -> str:
    """Past the barrier only: no power command while a host's file systems are up."""
    early = [f"{cut.command} at {cut.at} s: {', '.join(cut.running)}" for cut in outcome.early_cuts]
    return f"cut while running: {'; '.join(early)}" if early else ""


def no_command_when_riding(outcome: Outcome) -> str:
    """Who does not stop does not cut."""
    return "a power command without a shutdown" if outcome.rode and outcome.commands else ""


ALWAYS: tuple[Check, ...] = (no_early_cut, no_command_when_riding)


def off_comes_last(outcome: Outcome) -> str:
    """The output goes off, after everybody is down."""
    if not outcome.off:
        return "the output never went off"
    late = [name for name, downs in outcome.downs.items() if not downs or downs[0] > outcome.off[0]]
    return f"not down before the output went off: {', '.join(late)}" if late else ""


def forced(*guests: str) -> Check:
    """Return a check that these guests, and no others, were stopped by force."""

    def check(outcome: Outcome) -> str:
        same = set(outcome.forced) == set(guests)
        return "" if same else f"stopped by force: {', '.join(outcome.forced) or 'nobody'}"

    return check


def alarm(*words: str) -> Check:
    """Return a check that a line of some host's log says all these words."""

    def check(outcome: Outcome) -> str:
        said = any(all(word in line for word in words) for _at, _host, line in outcome.logs)
        return "" if said else f"no host's log says {' ... '.join(words)!r}"

    return check


def times(host: str, count: int) -> Check:
    """Return a check of how often a host was shut down."""

    def check(outcome: Outcome) -> str:
        seen = len(outcome.shutdowns[host])
        return "" if seen == count else f"{host} was shut down {seen} times instead of {count}"

    return check


def no_command(outcome: Outcome) -> str:
    """Nothing at all is commanded of the UPS."""
    return ", ".join(f"{cut.command} at {cut.at} s" for cut in outcome.commands)


def first(host: str) -> Check:
    """Return a check that a host is shut down before any other one."""

    def check(outcome: Outcome) -> str:
        begun = {name: ats[0] for name, ats in outcome.shutdowns.items() if ats}
        if host not in begun:
            return f"{host} was not shut down"
        early = [name for name in begun if name != host and begun[name] <= begun[host]]
        return f"shut down before {host}: {', '.join(early)}" if early else ""

    return check


def only(*hosts: str) -> Check:
    """Return a check that these hosts, and no others, are shut down."""

    def check(outcome: Outcome) -> str:
        begun = {name for name, ats in outcome.shutdowns.items() if ats}
        return "" if begun == set(hosts) else f"shut down: {', '.join(sorted(begun)) or 'nobody'}"

    return check


def nobody_before(at: float) -> Check:
    """Return a check that nobody is shut down before a moment."""

    def check(outcome: Outcome) -> str:
        early = [host for host, begun in outcome.shutdowns.items() if begun and begun[0] < at]
        return f"shut down before {at} s: {', '.join(early)}" if early else ""

    return check


def begun_by(at: float) -> Check:
    """Return a check that everybody is told to stop before a moment."""

    def check(outcome: Outcome) -> str:
        late = [host for host, begun in outcome.shutdowns.items() if not begun or begun[0] > at]
        return f"not shut down by {at} s: {', '.join(late)}" if late else ""

    return check


def changed(site: Site = TOWN, **what: Any) -> Site:
    """Return a site with other settings."""
    return dataclasses.replace(site, **what)


def with_host(host: Host, site: Site = TOWN, **what: Any) -> Site:
    """Return a site in which one host is otherwise."""
    other = dataclasses.replace(host, **what)
    hosts = tuple(other if one.name == host.name else one for one in site.hosts)
    return dataclasses.replace(site, hosts=hosts)


def mains(*moments: float) -> tuple[Event, ...]:
    """Return events that take the mains away and give them back in turn."""
    words = ("off", "on")
    return tuple(Event(at, "mains", words[turn % 2]) for turn, at in enumerate(moments))


def during(begin: float, end: float, what: str, on: Any, off: Any) -> tuple[Event, ...]:
    """Return events that set something for a while."""
    return (Event(begin, what, on), Event(end, what, off))


def said(begin: float, end: float, *words: str) -> tuple[Event, ...]:
    """Return events that make the UPS say more for a while."""
    return during(begin, end, "words", words, ())


OWN = changed(device={"thresholds": "own"})
TIERED = changed(tiers=({"name": "edge", "hosts": ["gw"], "after_seconds": 6},))
