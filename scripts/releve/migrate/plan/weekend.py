"""The weekend of a move: who does what when, and until when one can still go back; pure.

Every guest is stopped, moved and tried before any that needs it is stopped. The point of no return
is the moment at which people work on the new node: what they do from then on, a way back loses.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from releve.town import Town

BEGIN = datetime.time(8, 0)
END_DAYS, END = 1, datetime.time(18, 0)  # Sunday evening: Monday's people find it done, or undone
TEST = datetime.timedelta(minutes=30)
DECIDE = datetime.timedelta(minutes=30)
SEED_MARGIN, BACK_MARGIN = 2.0, 3.0  # a seed shares the line; a way back happens on a bad day
STEP_SECONDS = 60.0  # of a way back, beside the guest's own stop and start
QUARTER = 900


def mark(text: str) -> str:
    """Return a text that is shown in the reader's language."""
    return text


# What happens in a step, as the reader sees it.
SEED = mark("Copy {guest} while it works. Nobody notices.")
CHECK = mark("Make the plan again and compare: releve migrate plan. No check may have changed.")
HOLD = mark("Tell everybody that the applications close now, and that no work is accepted.")
STOP = mark("Stop {guest} and start it on {node}: releve migrate cutover {guest} --now")
# Of a guest of which there are only files, nobody here can press the power button.
STOP_THERE = mark(
    "Stop {guest} at {source} by hand, start it on {node}: releve migrate cutover {guest} --now"
)
TRY = mark("Try {application}: log in, read a record, write one, print one page.")
DECISION = mark("Decide together: stay, or go back. Without a clear yes, go back.")
LAST = mark("Last moment to begin the way back: releve migrate rollback, in the order below.")
OPEN = mark("Open the applications. From here on, going back loses work.")
RETIRE = mark("Retire the old host, not before: releve migrate retire")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the weekend; `text` is filled in with `values`, times are of the town's zone."""

    begin: datetime.datetime
    end: datetime.datetime
    who: tuple[str, ...]
    text: str
    values: Mapping[str, str]
    kind: str


@dataclass(frozen=True, slots=True)
class Weekend:
    """The whole of it. `back` is how long a way back of everything takes, in seconds."""

    steps: tuple[Step, ...]
    order: tuple[str, ...]
    decision: datetime.datetime
    deadline: datetime.datetime
    end: datetime.datetime
    back: float
    untested: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the decision falls before the deadline for going back."""
        return self.decision <= self.deadline


def weekend(
    plan: Mapping[str, Any],
    town: Town,
    day: datetime.date,
    zone: datetime.tzinfo,
    begin: datetime.time = BEGIN,
) -> Weekend:
    """Lay a plan out over a weekend that begins on `day`; raises InputError without forecasts."""
    dark = [name for name, guest in plan["guests"].items() if guest["forecast"] is None]
    if dark:
        message = f"{', '.join(dark)}: no forecast, since its source was not read; mend that first"
        raise InputError(message)
    lead = _lead(town)
    start = begin_of(day, zone, begin)
    steps = list(_before(plan, start, lead))
    now = start
    for wave in plan["waves"]:
        done = list(_wave(plan, town, wave, now))
        steps += [replace(step, who=lead) if step.kind == "stop" else step for step in done]
        now = max(step.end for step in done)
    decision = now + DECIDE
    everybody = tuple(dict.fromkeys([*lead, *_testers(town, plan["guests"])]))
    steps.append(Step(now, decision, everybody, DECISION, {}, "decide"))
    end = datetime.datetime.combine(day + datetime.timedelta(days=END_DAYS), END, zone)
    back = sum(_back(town, name) for name in plan["guests"])
    deadline = _down(end - datetime.timedelta(seconds=back * BACK_MARGIN))
    steps.append(Step(deadline, end, lead, LAST, {}, "deadline"))
    steps.append(Step(end, end, lead, OPEN, {}, "open"))
    later = end + datetime.timedelta(days=town.migrate.soak_days)
    steps.append(Step(later, later, lead, RETIRE, {}, "retire"))
    names = tuple(name for wave in plan["waves"] for name in wave)
    untested = tuple(name for name in names if not town.guests[name].tested_by)
    return Weekend(tuple(steps), names, decision, deadline, end, back, untested)


def begin_of(
    day: datetime.date, zone: datetime.tzinfo, begin: datetime.time = BEGIN
) -> datetime.datetime:
    """Return the moment of a weekend's first stop."""
    return datetime.datetime.combine(day, begin, zone)


def _lead(town: Town) -> tuple[str, ...]:
    """Return who leads: the admin, else the first who is named; nobody if nobody is."""
    return ("admin",) if "admin" in town.people else tuple(town.people)[:1]


def _testers(town: Town, names: Iterable[str]) -> list[str]:
    return [who for name in names for who in town.guests[name].tested_by]


def _back(town: Town, name: str) -> float:
    guest = town.guests[name]
    return guest.stop_seconds + guest.health.seconds + STEP_SECONDS


def _before(
    plan: Mapping[str, Any], start: datetime.datetime, lead: tuple[str, ...]
) -> Iterable[Step]:
    """Yield the seeds, one after the other so that the last ends before the weekend begins."""
    seconds = {
        name: guest["forecast"]["seed_seconds"] * SEED_MARGIN
        for name, guest in plan["guests"].items()
    }
    at = _down(start - datetime.timedelta(seconds=sum(seconds.values()) + 4 * QUARTER))
    for name, took in seconds.items():
        until = _up(at + datetime.timedelta(seconds=took))
        yield Step(at, until, lead, SEED, {"guest": name}, "seed")
        at += datetime.timedelta(seconds=took)
    early = start - datetime.timedelta(seconds=2 * QUARTER)
    yield Step(early, start, lead, CHECK, {}, "check")
    yield Step(start, start, lead, HOLD, {}, "hold")


def _wave(
    plan: Mapping[str, Any], town: Town, wave: Sequence[str], now: datetime.datetime
) -> Iterable[Step]:
    """Yield the stops of a wave, one after the other, and a test after each."""
    for name in wave:
        guest = town.guests[name]
        seconds = max(plan["guests"][name]["forecast"]["downtime_seconds"], STEP_SECONDS)
        up = _up(now + datetime.timedelta(seconds=seconds))
        values = {"guest": name, "node": guest.target, "source": guest.source}
        text = STOP_THERE if guest.disks[0].file else STOP
        yield Step(now, up, (), text, values, "stop")
        application = {"application": guest.application or name}
        yield Step(up, up + TEST, guest.tested_by, TRY, application, "test")
        now = up


def _down(at: datetime.datetime) -> datetime.datetime:
    """Return the quarter of an hour at or before a time: nobody plans to the minute."""
    return at - datetime.timedelta(
        minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond
    )


def _up(at: datetime.datetime) -> datetime.datetime:
    low = _down(at)
    return low if low == at else low + datetime.timedelta(seconds=QUARTER)
