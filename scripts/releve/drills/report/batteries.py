"""The UPSes and their batteries, one card each, from evidence `batteries`.

What the evidence does not hold nobody knows, and the card says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.drills.evidence import COMMISSIONING
from releve.drills.report.promises import mark
from releve.drills.report.words import Said, say_note, split_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from releve.drills.report.language import Language
    from releve.drills.report.read import CheckRead, Record

NAME = "batteries"
RUNGS = {
    "runtime": mark("by the time that the UPS says is left"),
    "estimate": mark("by its charge, its load and the measured time"),
    "charge": mark("by its charge and the measured time"),
    "voltage": mark("by the voltage of its battery and the time without mains"),
    "time": mark("by the time without mains alone"),
    "refuse": mark("what it says of the mains cannot be used: it may guard nothing"),
}
DECIDES = {
    "own-thresholds": mark("limits of ours, computed from what was measured"),
    "own-word": mark("its own word that its battery is low"),
}
CUTS = {
    "seen-cut": mark("goes off on command"),
    "ignored-on-line": mark("stays on when the mains are back early"),
    "never-cut": mark("stays on"),
    "stays-off": mark("goes off and does not come back"),
}
ENDS = {
    "clean": mark("stopped cleanly"),
    "hard-stopped": mark("stopped by force"),
    "cut": mark("lost its power"),
}
NOTHING = Said("")


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a card: what, its value, a remark; `state` is good, bad, or wait (not known)."""

    name: str
    value: str
    state: str = "good"
    note: Said = NOTHING


@dataclass(frozen=True, slots=True)
class Battery:
    """One UPS; `commissioning`: it was never measured, so nothing is proved."""

    name: str
    commissioning: bool
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """What concerns a UPS's host: its guests' last stop, and its alarms."""

    name: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the cards of one evidence file, in one language."""

    record: Record
    say: Language
    subjects: Collection[str]

    def batteries(self) -> list[Battery]:
        """Return a card for each UPS that the evidence speaks of."""
        return [self._battery(name) for name in self._names("state")]

    def sites(self) -> list[Site]:
        """Return what the hosts with a UPS told besides, and who did not answer."""
        names = dict.fromkeys((*self._names("host-answers"), *self._names("alarm-targets")))
        return [Site(name, (*self._stop(name), *self._alarms(name))) for name in names]

    def _names(self, stem: str) -> list[str]:
        return [subject for subject, one in self._checks(stem) if subject and one]

    def _checks(self, stem: str) -> list[tuple[str, CheckRead]]:
        checks = self.record.content.checks if self.record.content else ()
        found = []
        for one in checks:
            name, subject = split_id(one.id, self.subjects)
            if name == stem:
                found.append((subject, one))
        return found

    def _of(self, subject: str, stem: str) -> CheckRead | None:
        return next((one for who, one in self._checks(stem) if who == subject), None)

    def _battery(self, name: str) -> Battery:
        state = self._of(name, "state")
        facts = (
            self._rung(name),
            self._decides(name),
            self._capacity(name),
            self._seen(name),
            self._cut(name),
            self._test(name, "quick-test", mark("Short test")),
            self._test(name, "deep-test", mark("Long test")),
            self._link(name),
            self._due(name),
        )
        commissioning = state is None or state.value == COMMISSIONING
        return Battery(name, commissioning, tuple(one for one in facts if one))

    def _rung(self, name: str) -> Fact:
        title, one = self.say.text("What the shutdown is reckoned by"), self._of(name, "rung")
        if one is None:
            return Fact(title, self.say.text("not known"), "bad")
        value = self.say.text(RUNGS.get(str(one.value), str(one.value)))
        return Fact(title, value, "good" if one.passed else "bad")

    def _decides(self, name: str) -> Fact | None:
        one, timer = self._of(name, "decides"), self._of(name, "timer")
        if one is None:
            return None
        value = self.say.text(DECIDES.get(str(one.value), str(one.value)))
        if timer is not None:
            seconds = self.say.quantity(timer.value, "s")
            value = self.say.text("{what}; at the latest {time} without mains", what=value,
                                  time=seconds)  # fmt: skip
        return Fact(self.say.text("What stops the site"), value)

    def _capacity(self, name: str) -> Fact:
        title, one = self.say.text("Measured time"), self._of(name, "capacity-measured")
        day = self._day(self._of(name, "measured-on"))
        if one is None:
            return Fact(title, self.say.text("never measured"), "wait")
        value = self.say.quantity(one.value, one.unit)
        if one.note:
            value = self.say.text("at least {time}", time=value)
        return Fact(title, self.say.text("{what}, on {date}", what=value, date=day))

    def _seen(self, name: str) -> Fact:
        title, one = self.say.text("A real cut is noticed"), self._of(name, "on-battery-seen")
        if one is None:
            return Fact(title, self.say.text("never tried"), "wait")
        if one.value is None:
            return Fact(title, self.say.text("never"), "bad")
        value = self.say.text("after {time}", time=self.say.quantity(one.value, one.unit))
        return Fact(title, value, _state(one))

    def _cut(self, name: str) -> Fact:
        title, one = self.say.text("Its output at the end"), self._of(name, "output-cut")
        if one is None:
            return Fact(title, self.say.text("never seen"), "wait")
        value = self.say.text(CUTS.get(str(one.value), str(one.value)))
        return Fact(title, value, "good" if one.value == "seen-cut" else "bad")

    def _test(self, name: str, stem: str, title: str) -> Fact:
        one = self._of(name, stem)
        if one is None:
            return Fact(self.say.text(title), self.say.text("never made"), "wait")
        verdict = self.say.text("passed") if one.passed else self.say.text("not passed")
        value = self.say.text("{what}, on {date}", what=verdict, date=self._when(one))
        return Fact(self.say.text(title), value, _state(one), say_note(one.note, self.say))

    def _link(self, name: str) -> Fact:
        title, one = self.say.text("Last sign of life of the link"), self._of(name, "link")
        if one is None or one.value is None:
            note = say_note(one.note, self.say) if one else Said("")
            return Fact(title, self.say.text("none"), "bad", note)
        return Fact(title, self._when(one), _state(one), say_note(one.note, self.say))

    def _due(self, name: str) -> Fact:
        title, one = self.say.text("New battery"), self._of(name, "battery-due")
        if one is None:
            return Fact(title, self.say.text("not known when"), "wait")
        value = self.say.text("by {date}", date=self._day(one))
        return Fact(title, value, _state(one), say_note(one.note, self.say))

    def _stop(self, host: str) -> list[Fact]:
        if (away := self._of(host, "host-answers")) is not None:
            note = say_note(away.note, self.say)
            return [Fact(self.say.text("Its host"), self.say.text("does not answer"), "bad", note)]
        title, at = self.say.text("Last stop"), self._of(host, "last-stop-at")
        guests = self._checks("last-stop")
        if not guests:
            return [Fact(title, self.say.text("none is on record"), "wait")]
        facts = [Fact(title, self._when(at) if at else self.say.text("not known when"))]
        for name, one in guests:
            value = self.say.text(ENDS.get(str(one.value), str(one.value)))
            facts.append(Fact(name or one.id, value, _state(one), say_note(one.note, self.say)))
        return facts

    def _alarms(self, host: str) -> list[Fact]:
        title, count = self.say.text("Alarms"), self._of(host, "alarm-targets")
        if count is None:
            return []
        if not count.value:
            return [Fact(title, self.say.text("nobody is told"), "bad")]
        one = self._of(host, "alarms-seen")
        if one is None:
            return [Fact(title, self.say.text("never tried"), "wait")]
        what = self.say.text("seen to arrive") if one.passed else self.say.text("not all arrived")
        value = self.say.text("{what}, on {date}", what=what, date=self._when(one))
        return [Fact(title, value, _state(one), say_note(one.note, self.say))]

    def _when(self, one: CheckRead) -> str:
        return self.say.quantity(one.value, "")

    def _day(self, one: CheckRead | None) -> str:
        return self.say.day(str(one.value)) if one else self.say.text("not known when")


def _state(one: CheckRead) -> str:
    return "good" if one.passed else "bad"
