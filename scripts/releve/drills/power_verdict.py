"""What was seen in a power cut, and what follows from it; pure, so that each verdict is tested."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.drills.power_times import judge_times

if TYPE_CHECKING:
    from releve.drills.evidence import Evidence
    from releve.drills.mains import PowerEvent
    from releve.witness import Record, Status

STOP = 3  # kind of a record that a guest writes at an orderly stop
BACK_WORDS = {
    "host": "is back",
    "guest": "works again",
    "login": "is logged in",
    "data": "on line, data are fresh",
    "event": "power event is closed",
}
SEEN_LIMIT = 15.0  # seconds within which "on battery" has to be known at the UPS's host
BACK_LIMIT = 120.0  # seconds from the return of the mains until everybody is back


@dataclass(slots=True)
class GuestSeen:
    """One guest: before the cut, after it, its last record before the output went off.

    `ahead_ms` is how far its clock was ahead of this one: a guest gets whole seconds at its boot.
    """

    needs: tuple[str, ...]
    before: Status | None
    ahead_ms: float = 0.0
    after: Status | None = None
    last: Record | None = None
    kept: Record | None = None

    @property
    def stopped_cleanly(self) -> bool:
        """Whether the last thing it wrote was its stop, and no boot found it otherwise."""
        return (
            self.before is not None
            and self.after is not None
            and self.after.boots == self.before.boots + 1
            and self.after.unclean == self.before.unclean
            and self.last is not None
            and self.last.kind == STOP
        )

    @property
    def last_at(self) -> float | None:
        """When it wrote its last record before the cut, Unix time of this machine."""
        return (self.last.ms - self.ahead_ms) / 1000 if self.last else None

    @property
    def lost_nothing(self) -> bool:
        """Whether the chain is whole and still holds what was acknowledged before the cut."""
        return (
            self.before is not None
            and self.after is not None
            and self.after.whole
            and self.kept is not None
            and self.kept.sum == self.before.sum
        )

    @property
    def why(self) -> str:
        """What is wrong with its stop, in words."""
        if self.before is None:
            return "did not run on the UPS's host before the cut"
        if self.after is None:
            return "did not come back"
        if self.stopped_cleanly:
            return ""
        return "its last record before the cut is no stop: it was stopped by force or lost power"


@dataclass(slots=True)
class PowerSeen:
    """Everything that was seen; `words` are UPS status words with the time they were first seen.

    `told`: when the first tier was told to stop, which is the site where there are no tiers.
    """

    ups: str
    host: str
    clients: tuple[str, ...]
    guests: dict[str, GuestSeen] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    told: str = ""
    power: list[PowerEvent] = field(default_factory=list)
    back: dict[str, tuple[float, str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def first(self, kind: str, subject: str | None = None) -> PowerEvent | None:
        """Return the first event of a kind (of a subject)."""
        for event in self.power:
            if event.kind == kind and subject in {None, event.subject}:
                return event
        return None

    def word_at(self, word: str) -> float | None:
        """Return when the UPS first said a word, Unix time."""
        return _unix(self.words[word]) if word in self.words else None

    def told_at(self) -> float | None:
        """Return when the first tier was told to stop, Unix time."""
        return _unix(self.told) if self.told else self.word_at("FSD")

    def down_at(self, host: str) -> float | None:
        """Return when a host was down, Unix time: halted, or waiting for its power to go."""
        times = [
            event.unix
            for event in self.power
            if event.subject == host and event.kind in {"waiting", "halted"}
        ]
        return min(times, default=None)


def judge(seen: PowerSeen, evidence: Evidence) -> None:
    """Write the checks and the timeline."""
    _judge_the_stop(seen, evidence)
    _judge_the_order(seen, evidence)
    _judge_the_battery(seen, evidence)
    _judge_the_return(seen, evidence)
    judge_times(seen, evidence)
    _tell_the_story(seen, evidence)


def _judge_the_stop(seen: PowerSeen, evidence: Evidence) -> None:
    lost = seen.first("mains-off")
    noticed = seen.word_at("OB")
    seconds = noticed - lost.unix if noticed and lost else None
    evidence.check(
        "on-battery-seen",
        seconds is not None and seconds <= SEEN_LIMIT,
        _round(seconds),
        unit="s",
        limit=SEEN_LIMIT,
    )
    for host in (*seen.clients, seen.host):
        cut = seen.first("cut", host)
        note = cut.what if cut else "its power was never switched off"
        evidence.check(f"{host}.clean-stop", bool(cut and cut.clean), note=note)
    for name, guest in seen.guests.items():
        evidence.check(f"{name}.clean-stop", guest.stopped_cleanly, note=guest.why)
        evidence.check(
            f"{name}.whole",
            guest.lost_nothing,
            guest.after.records if guest.after else None,
            unit="records",
            note=guest.after.chain if guest.after else guest.why,
        )


def _judge_the_order(seen: PowerSeen, evidence: Evidence) -> None:
    """A guest stops before whom it needs; guests before their host; clients before it."""
    stops = {name: guest.last_at for name, guest in seen.guests.items()}
    wrong = [
        f"{need} not after {name}"
        for name, guest in seen.guests.items()
        for need in guest.needs
        if need in stops and not _earlier(stops[name], stops[need])
    ]
    evidence.check("guests.order", not wrong, note="; ".join(wrong))
    host = seen.down_at(seen.host)
    late = [
        *(name for name in seen.guests if not _earlier(stops[name], host)),
        *(name for name in seen.clients if not _earlier(seen.down_at(name), host)),
    ]
    evidence.check(
        "host.last", not late, note=f"not down before {seen.host}: {late}" if late else ""
    )
    off = seen.first("output-off")
    evidence.check("output.last", off is not None and _earlier(host, off.unix), note="")


def _judge_the_battery(seen: PowerSeen, evidence: Evidence) -> None:
    """A UPS that was never measured has no limit yet: this drill is its measurement."""
    lost, off = seen.first("mains-off"), seen.first("output-off")
    seconds = off.unix - lost.unix if lost and off else None
    capacity, need = seen.budget["capacity"], seen.budget["need"]
    evidence.check(
        "time-on-battery",
        seconds is not None and (capacity is None or seconds <= capacity),
        _round(seconds),
        unit="s",
        limit=capacity,
        note="from the loss of the mains to the output going off",
    )
    if capacity is not None:
        evidence.check(
            "budget", need <= capacity, need, unit="s", limit=capacity, note="worst case"
        )


def _judge_the_return(seen: PowerSeen, evidence: Evidence) -> None:
    for part, (seconds, _at) in seen.back.items():
        evidence.check(f"{_dotted(part)}.back", passed=True, value=_round(seconds), unit="s")
    for part in seen.missing:
        evidence.check(f"{_dotted(part)}.back", passed=False, note="did not come back by itself")
    slowest = max((seconds for seconds, _at in seen.back.values()), default=0.0)
    evidence.check(
        "all-back",
        not seen.missing and bool(seen.back) and slowest <= BACK_LIMIT,
        _round(slowest),
        unit="s",
        limit=BACK_LIMIT,
        note="from the return of the mains, nobody touching anything",
    )


def _tell_the_story(seen: PowerSeen, evidence: Evidence) -> None:
    for event in seen.power:
        evidence.event(event.subject, event.what, event.at)
    for word, at in seen.words.items():
        evidence.event(seen.ups, {"OB": "on battery", "FSD": "shutdown begins"}[word], at)
    for name, guest in seen.guests.items():
        if guest.last and guest.last_at:
            what = "stops" if guest.last.kind == STOP else "last sign of life, no stop"
            evidence.event(name, what, iso(guest.last_at))
    for part, (_seconds, at) in seen.back.items():
        kind, _, name = part.partition(" ")
        evidence.event(name or seen.ups, BACK_WORDS[kind], at)


def _dotted(part: str) -> str:
    """Return the start of a check's id for a part: `host pve1` is pve1, `login nas` nas.login."""
    kind, _, name = part.partition(" ")
    if not name:
        return kind
    return f"{name}.login" if kind == "login" else name


def _earlier(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _unix(at: str) -> float:
    return datetime.datetime.fromisoformat(at).timestamp()


def iso(unix: float) -> str:
    """Return a Unix time in UTC, ISO 8601 with milliseconds and a final Z."""
    moment = datetime.datetime.fromtimestamp(unix, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
