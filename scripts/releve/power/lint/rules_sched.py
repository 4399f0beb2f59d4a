"""upssched.conf: timers, and whether a short cut stops the site; NOTIFYCMD in its place, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.power.lint import releases
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.rules_upsmon import has_event
from releve.power.lint.script import stops, stops_as_root_only, waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import At, Configuration, SchedConf

RULES = Rules()
FILE = "upssched.conf"
SHORT = 60  # seconds on battery; many cuts last longer
BLIP = 5  # seconds; the shortest cuts
# The event that ends what another began.
ENDS = {"ONBATT": "ONLINE", "COMMBAD": "COMMOK"}
NO_CUT = ("NOCOMM", "REPLBATT", "CAL", "OFF", "BYPASS", "NOPARENT")
_STOPS = re.compile(r"shut|power[-_ ]?(off|down)|halt|fsd|kill|stop|\boff\b", re.IGNORECASE)
_MAY_STOP = re.compile(rf"{_STOPS.pattern}|on[-_]?batt|critical|early", re.IGNORECASE)  # as a timer
_TELLS = re.compile(
    r"me?ss?a?ge?|mail|notif|warn|log|alert|heartbeat|resolved|telegram", re.IGNORECASE
)
_PLACES = ("/etc/", "/usr/", "/bin/", "/sbin/", "/lib/", "/root/", "/home/", "/opt/")


def _called(conf: Configuration, event: str) -> bool:
    """Tell whether upssched hears of an event: NOTIFYCMD names it and the event has EXEC."""
    if conf.upsmon is None:
        return True
    return "upssched" in (conf.upsmon.value("NOTIFYCMD") or "") and conf.upsmon.executes(event)


def _matches(conf: Configuration, at: At) -> bool:
    """Tell whether a line's UPS is one that upsmon watches, as its MONITOR line writes it."""
    names = {one.system for one in conf.monitors}
    return at.pattern == "*" or not names or at.pattern in names


def _script(conf: Configuration) -> str | None:
    """Return the text of CMDSCRIPT; None when it is not at hand."""
    found = conf.sched.values.get("CMDSCRIPT") if conf.sched else None
    return conf.facts.scripts.get("".join((found.value or "").split()[:1])) if found else None


def stops_site(conf: Configuration, at: At) -> bool:
    """Tell whether a timer or a command stops hosts: by the script, else by its name.

    A command called "onbatt" tells somebody; a timer of that name mostly ends in a shutdown.
    """
    text = _script(conf)
    told = None if text is None else stops(text, at.first)
    if told is not None:
        return told
    tells = at.event.upper() in NO_CUT or (at.command, at.event.upper()) == ("EXECUTE", "ONBATT")
    words = _STOPS if tells else _MAY_STOP
    return words.search(at.first) is not None and _TELLS.search(at.first) is None


def _cancels(sched: SchedConf, start: At) -> list[At]:
    same = [one for one in sched.cancels() if one.first == start.first]
    return [
        one for one in same if "*" in (one.pattern, start.pattern) or one.pattern == start.pattern
    ]


def _swapped(at: At) -> bool:
    return at.first.isdigit() and at.second is not None and not at.second[:1].isdigit()


def _deaf(conf: Configuration) -> dict[str, int]:
    """Return the events of AT lines that upsmon does not hand on, each with its first line."""
    found: dict[str, int] = {}
    for at in conf.sched.ats if conf.sched else ():
        if has_event(conf, at.event) and not _called(conf, at.event):
            found.setdefault(at.event.upper(), at.line)
    return found


@RULES.warn(
    "US_NOT_CALLED",
    "upssched.conf has rules for {at}, and upsmon does not call upssched then",
    "set NOTIFYCMD /sbin/upssched, and NOTIFYFLAG with EXEC for that event",
)
def not_called(conf: Configuration) -> Iterator[Spot]:
    """Find timers that nobody starts, or that nobody ends."""
    deaf = _deaf(conf)
    ats = conf.sched.ats if conf.sched else ()
    events = {at.event.upper() for at in ats if has_event(conf, at.event)}
    if deaf and deaf.keys() == events:
        yield Spot(FILE, min(deaf.values()), "events")
    else:
        yield from (Spot(FILE, deaf[one], one) for one in ("ONBATT", "ONLINE") if one in deaf)


@RULES.note(
    "US_EVENT_NOT_EXECUTED",
    "upssched.conf has a rule for {at}, which has no EXEC in upsmon.conf",
    "add EXEC to that event's NOTIFYFLAG, or remove the rule",
)
def not_executed(conf: Configuration) -> Iterator[Spot]:
    """Find a rule that is never asked, and that no timer of a cut needs."""
    for event, line in _deaf(conf).items():
        if event not in ("ONBATT", "ONLINE"):
            yield Spot(FILE, line, event)


@RULES.warn(
    "US_UNKNOWN_EVENT",
    "upsmon {nut} never tells of an event {at}, so that this line never counts",
    "take an event of upsmon.conf(5); one timer cannot begin another",
)
def unknown_event(conf: Configuration) -> Iterator[Spot]:
    """Find a rule for what does not happen."""
    for at in conf.sched.ats if conf.sched else ():
        if not has_event(conf, at.event):
            yield Spot(FILE, at.line, releases.with_release(at.event.upper(), releases.EVENTS))


@RULES.warn(
    "US_STOP_NEEDS_ROOT",
    "what the script does for {at} stops the host for root alone, and upssched runs as user nut:"
    " nothing happens",
    "call `/sbin/upsmon -c fsd` there, which tells the clients, too",
)
def needs_root(conf: Configuration) -> Iterator[Spot]:
    """Find a backstop that has no right to stop anything."""
    text = _script(conf)
    as_root = conf.upsmon is not None and conf.upsmon.value("RUN_AS_USER") == "root"
    seen: set[str] = set()
    for at in conf.sched.ats if conf.sched and text is not None and not as_root else ():
        if at.first not in seen and _does(at) and stops_as_root_only(text or "", at.first):
            seen.add(at.first)
            yield Spot(FILE, at.line, at.first)


@RULES.warn(
    "US_NEVER_MATCHES",
    "no MONITOR line is called {at}, so that this line never counts",
    "write the UPS as the MONITOR line does (with @host), or *",
)
def never_matches(conf: Configuration) -> Iterator[Spot]:
    """Find a rule for a UPS that upsmon does not know."""
    for at in conf.sched.ats if conf.sched else ():
        if not _matches(conf, at):
            yield Spot(FILE, at.line, at.pattern)


@RULES.warn(
    "US_AT_TOO_EARLY",
    "an AT line stands before CMDSCRIPT, PIPEFN and LOCKFN (or one of them is missing): upssched"
    " ends there",
    "put the three first",
)
def too_early(conf: Configuration) -> Iterator[Spot]:
    """Find what upssched calls fatal."""
    yield from (Spot(FILE, line) for line in (conf.sched.early[:1] if conf.sched else ()))


@RULES.warn(
    "US_UNKNOWN_LINE",
    "upssched cannot use this line and goes on without it",
    "write AT EVENT UPS START-TIMER NAME SECONDS, CANCEL-TIMER NAME, or EXECUTE NAME",
)
def unknown_line(conf: Configuration) -> Iterator[Spot]:
    """Find a line without effect."""
    if conf.sched:
        known = ("START-TIMER", "CANCEL-TIMER", "EXECUTE")
        wrong = [at.line for at in conf.sched.ats if at.command not in known]
        wrong += [at.line for at in conf.sched.starts() if at.second is None]
        wrong += [one.line for one in conf.sched.unknown] + list(conf.sched.broken)
        wrong += [one.line for one in conf.sched.values.values() if one.value == "="]
        yield from (Spot(FILE, line) for line in sorted({*wrong}))


@RULES.refuse(
    "US_ARGS_SWAPPED",
    "START-TIMER takes the name first: this one runs out at once, with {at} for its name",
    "write START-TIMER NAME SECONDS",
)
def swapped(conf: Configuration) -> Iterator[Spot]:
    """Find seconds where the name belongs."""
    for at in conf.sched.starts() if conf.sched else ():
        if _swapped(at):
            yield Spot(FILE, at.line, at.first)


def _endless(conf: Configuration) -> Iterator[At]:
    """Yield the lines whose timer no event ends; one that its own event ends is a watchdog."""
    for at in conf.sched.starts() if conf.sched else ():
        valid = at.second is not None and not _swapped(at)
        if conf.sched and valid and not _cancels(conf.sched, at):
            yield at


@RULES.warn(
    "US_TIMER_NEVER_CANCELLED",
    "nothing cancels the timer {at}",
    "add AT ONLINE * CANCEL-TIMER with its name (its second word is a command, not a timer)",
)
def never_cancelled(conf: Configuration) -> Iterator[Spot]:
    """Find a timer that always runs out."""
    yield from (Spot(FILE, at.line, at.first) for at in _endless(conf))


@RULES.refuse(
    "US_BLIP_SHUTS_DOWN",
    "{at} stops the site after a cut of a second: it starts at the cut, and the return of the mains"
    " does not end it",
    "start a timer at ONBATT and cancel that very timer at ONLINE, both with EXEC in upsmon.conf",
)
def blip(conf: Configuration) -> Iterator[Spot]:
    """Find what a blip sets off."""
    for at in conf.sched.ats if conf.sched else ():
        event = at.event.upper()
        heard = event in ENDS and _called(conf, event) and _matches(conf, at)
        if heard and stops_site(conf, at) and _goes_through(conf, at, ENDS[event]):
            yield Spot(FILE, at.line, at.first)


def _goes_through(conf: Configuration, at: At, end: str) -> bool:
    """Tell whether what a line begins happens even when `end` comes a second later."""
    if at.command == "EXECUTE":
        return not waits(_script(conf) or "", at.first)
    if at.command != "START-TIMER" or at.second is None or _swapped(at) or conf.sched is None:
        return False
    ended = [
        one
        for one in _cancels(conf.sched, at)
        if one.event.upper() in (end, at.event.upper()) and _called(conf, one.event)
        and _matches(conf, one)
    ]  # fmt: skip
    return at.seconds < BLIP or not ended or not _ends_each(conf, at, ended)


def _ends_each(conf: Configuration, at: At, ended: list[At]) -> bool:
    """Tell whether a timer is cancelled whichever UPS of those that start it is back."""
    starts = {one.system for one in conf.monitors} if at.pattern == "*" else {at.pattern}
    return all(any(one.pattern in ("*", name) for one in ended) for name in starts)


@RULES.refuse(
    "UM_NOTIFYCMD_STOPS",
    "NOTIFYCMD stops the site at {at}, which a cut or a loss of the link of a second sets off",
    "let it tell somebody; what stops the site is upsmon, or a timer that ONLINE ends",
)
def notify_stops(conf: Configuration) -> Iterator[Spot]:
    """Find a message that does not wait for a low battery."""
    found = conf.upsmon.last("NOTIFYCMD") if conf.upsmon else None
    if conf.upsmon is None or found is None or "upssched" in found.words[1]:
        return
    command = found.words[1]
    text = conf.facts.scripts.get("".join(command.split()[:1]))
    if text is None:  # a script's own name tells nothing
        text = command if " " in command.strip() else ""
    as_root = conf.upsmon.value("RUN_AS_USER") == "root"
    for event in ENDS:
        may = as_root or not stops_as_root_only(text, event)
        now = stops(text, event) and not waits(text, event)
        if conf.upsmon.executes(event) and may and now:
            yield Spot("upsmon.conf", found.number, event)


@RULES.warn(
    "US_CANCELS_UNKNOWN_TIMER",
    "{at} is cancelled and never started",
    "name the timer as START-TIMER does",
)
def cancels_unknown(conf: Configuration) -> Iterator[Spot]:
    """Find a cancel of nothing."""
    if conf.sched:
        known = {at.first for at in conf.sched.starts()}
        for at in conf.sched.cancels():
            if at.first not in known:
                yield Spot(FILE, at.line, at.first)


@RULES.warn(
    "US_SHORT_TIMER",
    "a fixed {at} s on battery stops the site, whatever the battery could still carry",
    "take the seconds from the budget",
)
def short_timer(conf: Configuration) -> Iterator[Spot]:
    """Find a patience that no cut is shorter than."""
    for at in conf.sched.starts() if conf.sched else ():
        valid = at.second is not None and not _swapped(at) and at.seconds <= SHORT
        if at.event.upper() == "ONBATT" and valid and stops_site(conf, at):
            yield Spot(FILE, at.line, f"{at.first} {at.seconds}")


@RULES.warn(
    "US_LOWBATT_WITHOUT_OB_CHECK",
    "{at} stops the site at LOWBATT, which some UPSes flash while the mains are there",
    "leave LOWBATT to upsmon, which looks for OB too, or let the script ask upsc first",
)
def lowbatt(conf: Configuration) -> Iterator[Spot]:
    """Find a stop that needs no cut."""
    for at in conf.sched.ats if conf.sched else ():
        heard = at.event.upper() == "LOWBATT" and _does(at)
        if heard and stops_site(conf, at):
            yield Spot(FILE, at.line, at.first)


@RULES.warn(
    "US_STOPS_ON_MAINS",
    "{at}: a message that comes with the mains present stops the site",
    "let it tell somebody; what stops the site is time on battery, or upsmon",
)
def stops_on_mains(conf: Configuration) -> Iterator[Spot]:
    """Find a stop at an event that is no power cut."""
    for at in conf.sched.ats if conf.sched else ():
        event = at.event.upper()
        if event in NO_CUT and _does(at) and _called(conf, event) and stops_site(conf, at):
            yield Spot(FILE, at.line, f"{event} {at.first}")


def _does(at: At) -> bool:
    """Tell whether a line begins something."""
    return at.command in ("EXECUTE", "START-TIMER")


@RULES.warn(
    "US_PIPE_IN_ETC",
    "the pipe or the lock of upssched lies in {at}: not writable for user nut, or left over after a"
    " boot",
    "use /run/nut/upssched/upssched.pipe and upssched.lock",
)
def pipe_on_disk(conf: Configuration) -> Iterator[Spot]:
    """Find a pipe in a place for files that stay."""
    for name in ("PIPEFN", "LOCKFN") if conf.sched else ():
        found = conf.sched.values.get(name) if conf.sched else None
        if found and (found.value or "").startswith(_PLACES):
            yield Spot(FILE, found.line, (found.value or "").rsplit("/", 1)[0])
            return
