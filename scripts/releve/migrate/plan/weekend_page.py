"""The weekend plan as one page and as text, in the town's language; it needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from releve.drills.report.language import HARD, Language, read_po
from releve.migrate.plan.weekend import BACK_MARGIN, mark

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping

    from releve.migrate.plan.weekend import Step, Weekend
    from releve.town import Town

HERE = Path(__file__).parent
DAYS = (
    mark("Monday"),
    mark("Tuesday"),
    mark("Wednesday"),
    mark("Thursday"),
    mark("Friday"),
    mark("Saturday"),
    mark("Sunday"),
)


# How a guest's disks are copied, as the reader sees it.
RUNGS = {
    "bitmaps": mark("while it works"),
    "hash-delta": mark("beforehand, then compared while it is off"),
    "cold": mark("while it is off"),
}
_COMMAND = re.compile(r"\b(releve migrate [a-z]+(?: \S+ --now)?)")


def speaker(code: str, timezone: str) -> Language:
    """Return the reader's language, with the words of this page beside those of the report."""
    base = Language.of(code, timezone)
    if code == "en":
        return base
    mine = read_po((HERE / "locale" / f"{code}.po").read_text(encoding="utf-8"))
    return Language(base.code, base.zone, base.zone_name, {**base._catalogue, **mine})


class View:
    """What the templates ask for."""

    def __init__(
        self, weekend: Weekend, plan: Mapping[str, Any], town: Town, language: Language
    ) -> None:
        """Keep what is shown."""
        self.weekend, self.plan, self.town, self.language = weekend, plan, town, language
        self.margin = f"{BACK_MARGIN:g}"

    def day(self, at: datetime.datetime) -> str:
        """Return the day of the week and the date."""
        local = at.astimezone(self.language.zone)
        return f"{self.language.text(DAYS[local.weekday()])}{HARD}{self.language.date(at)}"

    def moment(self, at: datetime.datetime) -> str:
        """Return a day and an hour."""
        return f"{self.day(at)}, {self.language.time(at)}"

    def days(self) -> list[tuple[str, list[Step]]]:
        """Return the steps in the order of their begin, by day."""
        found: dict[str, list[Step]] = {}
        for step in sorted(self.weekend.steps, key=lambda step: step.begin):
            found.setdefault(self.day(step.begin), []).append(step)
        return list(found.items())

    def hours(self, step: Step) -> str:
        """Return from when to when; the day too when it ends on another one."""
        begin, end = self.language.time(step.begin), self.language.time(step.end)
        if step.begin == step.end:
            return begin
        if self.day(step.begin) != self.day(step.end):
            end = self.moment(step.end)
        return f"{begin} – {end}"  # noqa: RUF001  # a dash between two hours

    def who(self, step: Step) -> str:
        """Return the people of a step."""
        names = [self.town.people[one].name for one in step.who if one in self.town.people]
        return self.language.listing(names) or self.language.text("nobody is named")

    def what(self, step: Step) -> str:
        """Return the sentence of a step."""
        return self.language.text(step.text, **step.values)

    def parts(self, step: Step) -> list[str]:
        """Return the sentence of a step in parts; every second one is to be typed."""
        return _COMMAND.split(self.what(step))

    def risks(self) -> list[tuple[str, str, str, str]]:
        """Return (guest, check, value, reason) of each check that was waived."""
        return [
            (name, check["id"], check["value"], check["waived"])
            for name, guest in self.plan["guests"].items()
            for check in guest["checks"]
            if check.get("waived")
        ]

    def stops(self) -> list[tuple[str, str, str]]:
        """Return (guest, check, value) of each check that stands in the way."""
        return [
            (name, check["id"], check["value"])
            for name, guest in self.plan["guests"].items()
            for check in guest["checks"]
            if check["stops"]
        ]

    def guests(self) -> list[tuple[str, str, str, str]]:
        """Return (guest, application, how long it stands still, how it is read), in order."""
        rows = []
        for name in self.weekend.order:
            guest = self.plan["guests"][name]
            kinds = sorted({RUNGS[row["rung"]] for row in guest["rungs"].values()})
            rungs = ", ".join(self.language.text(kind) for kind in kinds)
            seconds = guest["forecast"]["downtime_seconds"]
            application = self.town.guests[name].application or name
            rows.append((name, application, self.language.duration(seconds), rungs))
        return rows


def page(weekend: Weekend, plan: Mapping[str, Any], town: Town, language: Language) -> str:
    """Return the page as HTML."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(_=language.text)
    view = View(weekend, plan, town, language)
    return env.get_template("weekend.html.j2").render(view=view, town=town, language=language)


def text(weekend: Weekend, plan: Mapping[str, Any], town: Town, language: Language) -> str:
    """Return the same as text, for a mail or a wall."""
    return "\n".join(_lines(View(weekend, plan, town, language), weekend)) + "\n"


def _lines(view: View, weekend: Weekend) -> Iterator[str]:
    say = view.language.text
    yield say("{town}: the weekend of the move", town=view.town.town.name)
    yield ""
    yield say("Point of no return: {moment}", moment=view.moment(weekend.end))
    yield say("Deadline for going back: {moment}", moment=view.moment(weekend.deadline))
    if not weekend.fits:
        yield say("IT DOES NOT FIT: the decision would come after the deadline for going back.")
    for guest, check, value in view.stops():
        yield say("STANDS IN THE WAY: {what}", what=f"{guest}, {check}: {value}")
    for name in weekend.untested:
        yield say("NOBODY TRIES IT: {guest}", guest=name)
    for day, steps in view.days():
        yield ""
        yield day
        for step in steps:
            yield f"  {view.hours(step)}  {view.who(step)}"
            yield f"      {view.what(step)}"
    yield ""
    yield say("Whom to call")
    for person in view.town.people.values():
        yield f"  {person.name}  {person.phone or ''}  {person.email or ''}".rstrip()
    yield ""
    yield say("Order of the way back: {names}", names=", ".join(reversed(weekend.order)))
    yield say("Plan: sha256 {hash}", hash=view.plan["sha256"])
