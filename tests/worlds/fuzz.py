"""Random timelines of mains, UPS data, driver and switch; a seed is a timeline for ever."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

from tests.worlds import sweep
from tests.worlds.run import Event
from tests.worlds.runner import Job
from tests.worlds.scenarios import TIERED, end_of, no_early_cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.worlds.runner import Result
    from tests.worlds.site import Mode
    from tests.worlds.verdict import Outcome

SEEDS = range(100)
SPAN = 75.0  # seconds in which something happens
AFTERWARDS = 60.0  # in which everybody comes back

KILL_DRIVER = ("pve1", "pkill", "-9", "-f", "labups -a")
# In mode policy there are two layers of drivers: a seed kills one of them, or both.
KILLED = ("labups -a", "policy -a", "(labups|policy) -a")

# Causes that no program survives, and the words of the alarm that must have come first.
SWITCH = "the switch between server and clients was dead"
SILENT = "the UPS said nothing when the mains went"
ALARM = "Communications with UPS"


def events_of(seed: int) -> tuple[Event, ...]:
    """Return the timeline of a seed: two to five cuts, and what goes wrong besides."""
    rnd = random.Random(seed)  # noqa: S311  # no secret
    found: list[Event] = []
    at, on = 2.0, True
    while at < SPAN:
        on = not on
        found.append(Event(round(at, 1), "mains", "on" if on else "off"))
        at += rnd.uniform(1, 20) if on else rnd.uniform(1, 28)
    if not on:
        found.append(Event(round(at, 1), "mains", "on"))
    if rnd.random() < 0.5:
        begin = rnd.uniform(0, SPAN)
        found += [
            Event(begin, "comms", False),
            Event(begin + rnd.uniform(0.5, 8), "comms", True),
        ]
    if rnd.random() < 0.3:
        found.append(Event(rnd.uniform(0, SPAN), "do", KILL_DRIVER))
    if rnd.random() < 0.3:
        begin = rnd.uniform(0, SPAN)
        found += [Event(begin, "switch", "off"), Event(begin + rnd.uniform(1, 15), "switch", "on")]
    return tuple(sorted(found, key=lambda event: event.at))


def job_of(seed: int, mode: Mode) -> Job:
    """Return the world of a seed; odd ones have a UPS that ignores a command on line."""
    site = dataclasses.replace(TIERED, mode=mode, behaviour=sweep.KINDS[seed % 2])
    events = events_of(seed)
    if mode == "policy":
        killed = (*KILL_DRIVER[:-1], KILLED[seed % len(KILLED)])
        events = tuple(
            dataclasses.replace(event, value=killed) if event.what == "do" else event
            for event in events
        )
    return Job(f"fuzz/{mode}-{seed}", site, events, events[-1].at + AFTERWARDS)


def jobs(mode: Mode) -> list[Job]:
    """Return the world of each seed."""
    return [job_of(seed, mode) for seed in SEEDS]


def excuse_of(events: Iterable[Event], outcome: Outcome) -> str:
    """Return the cause on the list that explains who was cut, nothing when there is none.

    A dead switch explains clients that were cut, nothing else; a silent UPS a cut whose mains went
    in the silence. It must have been away after the mains went for the last time before that, and
    the alarm must have come before.
    """
    early, listed = outcome.early_cuts, list(events)
    off = early[-1].at if early else outcome.off[-1] if outcome.off else 0.0
    cuts = [event.at for event in listed if event.what == "mains" and event.value == "off"]
    for begin, end, what in _silences(listed):
        alarmed = any(ALARM in words and begin <= at <= off for at, _host, words in outcome.logs)
        if begin > off or end < max((cut for cut in cuts if cut < off), default=0) or not alarmed:
            continue
        if what == "switch" and "pve1" not in outcome.unclean:
            return SWITCH
        if what == "comms" and any(begin <= cut <= end for cut in cuts):
            return SILENT
    return ""


def _silences(events: Iterable[Event]) -> Iterable[tuple[float, float, str]]:
    """Yield from when to when what was away."""
    begun: dict[str, float] = {}
    for event in events:
        if event.what in {"switch", "comms"}:
            if event.value in {"off", False}:
                begun[event.what] = event.at
            elif event.what in begun:
                yield begun.pop(event.what), event.at, event.what


def bad(results: Iterable[Result]) -> tuple[list[str], list[str]]:
    """Return a sentence for each world that ended badly, and one for each that has an excuse."""
    faults, excused = [], []
    for result in results:
        outcome = result.outcome
        if outcome is None:
            faults.append(f"{result.name}: refused: {result.refused}")
            continue
        seen, early = end_of(outcome), no_early_cut(outcome)
        if seen not in {"cut", "dark"} and not early:
            continue
        words = f"{result.name}: {seen}; unclean: {outcome.unclean}, dark: {outcome.dark}, {early}"
        seed = int(result.name.rpartition("-")[2])
        # A command that came too early and cut nobody in the end needs its cause as well.
        excuse = excuse_of(events_of(seed), outcome) if seen != "dark" else ""
        if excuse:
            excused.append(f"{words}; {excuse}, the alarm: {ALARM!r}")
        else:
            faults.append(words)
    return faults, excused
