"""Render the page: one HTML file that needs nothing else, neither a script nor the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from releve.drills.report.batteries import NAME as BATTERIES
from releve.drills.report.batteries import Teller
from releve.drills.report.chart import NARROW_CHART, WIDE_CHART, Chart, draw
from releve.drills.report.language import UNITS
from releve.drills.report.promises import EVIDENCE, Judged, Judgement, State, is_commissioning, mark
from releve.drills.report.read import span
from releve.drills.report.timeline import NARROW, WIDE, Timeline, lay_out
from releve.drills.report.words import Said, say_check, say_event, say_note, say_subject, words_of

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Mapping

    from releve.drills.report.language import Language
    from releve.drills.report.read import CheckRead, Record

TEMPLATES = Path(__file__).parent / "templates"
FIGURES_MAX = 6
DAY = 86_400
STATES = {
    State.PROVED: mark("Proved"),
    State.PARTLY: mark("Proved in part"),
    State.FAILED: mark("Broken"),
    State.UNTRIED: mark("Not tried in this run"),
}
STAGES = {
    "survey": mark("Survey of the old server"),
    "provision": mark("Setting up the new server"),
    "migrate": mark("Moving the services"),
    "power": mark("Power cut"),
    "power-0": mark("Power cut on paper"),
    "power-1": mark("Power cut in the shadow"),
    "power-2": mark("Power cut with some services"),
    "power-4": mark("Plug of the UPS pulled"),
    "batteries": mark("The UPSes and their batteries"),
    "copy": mark("Copies to the vault"),
    "restore": mark("Return from a copy"),
    "ledger": mark("Accounts"),
}
TIMELINES = {
    "migrate": mark("The move, step by step"),
    "power": mark("The power cut, step by step"),
    "power-1": mark("The power cut in the shadow, step by step"),
    "power-2": mark("The services that stop first, step by step"),
    "power-4": mark("The plug is pulled, step by step"),
}
CHARTS = frozenset({"power", "power-2", "power-4"})
FILE_STATES = {
    "same": mark("as it was"),
    "changed": mark("changed since"),
    "gone": mark("no longer there"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One check, ready to be shown."""

    id: str
    passed: bool
    sentence: Said
    value: str
    limit: str
    note: Said


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value that deserves large type."""

    value: str
    name: Said
    limit: str
    passed: bool
    long: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One promise, ready to be shown."""

    judged: Judged
    figures: tuple[Figure, ...]
    checks: int
    failed: int
    gathered: str
    faults: tuple[str, ...]
    untried: str
    commissioning: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """One timeline in two widths, with its text for those who do not see it."""

    id: str
    title: str
    description: str
    shapes: tuple[tuple[str, Timeline], ...]
    events: tuple[tuple[str, str, Said], ...]
    charts: tuple[tuple[str, Chart], ...] = ()


class View:
    """What the templates ask for, in one language."""

    def __init__(
        self,
        records: Mapping[str, Record],
        judgement: Judgement,
        language: Language,
        subjects: Collection[str],
    ) -> None:
        """Keep what is shown; `subjects` are the names of the town's guests and hosts."""
        self.records = [records[name] for name in EVIDENCE if name in records]
        self.judgement = judgement
        self.language = language
        self.subjects = subjects

    def verdict(self) -> str:
        """Return the one sentence that everybody reads."""
        say, total = self.language, len(self.judgement.promises)
        broken = self.judgement.of(State.FAILED)
        if broken:
            return say.plural(
                "One promise is broken: {names}.",
                "{count} promises are broken: {names}.",
                len(broken),
                names=self.names(broken),
            )
        if self.judgement.state is State.UNTRIED:
            return say.text("Nothing was tried in this run, so nothing is proved.")
        if self.judgement.state is State.PROVED:
            return say.text("All {total} promises were tried, and all hold.", total=total)
        return say.text("Everything that was tried in this run holds.")

    def proved(self) -> str:
        """Return how many promises are proved, and which were not tried."""
        say, proved = self.language, self.judgement.of(State.PROVED)
        text = say.plural(
            "{count} promise of {total} is proved.",
            "{count} promises of {total} are proved.",
            len(proved),
            total=len(self.judgement.promises),
        )
        if partly := self.judgement.of(State.PARTLY):
            text += " " + say.text("Proved in part: {names}.", names=self.names(partly))
        if untried := self.judgement.of(State.UNTRIED):
            text += " " + say.text("Not tried in this run: {names}.", names=self.names(untried))
        return text

    def names(self, judged: Collection[Judged]) -> str:
        """Return the promises' short names as part of a sentence."""
        return self.language.listing([self.language.text(one.promise.short) for one in judged])

    def period(self) -> str:
        """Return from when to when the evidence was gathered."""
        found = span(self.records)
        if found is None:
            return ""
        start, end = found
        if self.language.date(start) == self.language.date(end):
            return self.language.text(
                "{date}, from {start} to {end}",
                date=self.language.date(start),
                start=self.language.time(start),
                end=self.language.time(end),
            )
        return self.language.text(
            "from {start} to {end}", start=self.language.date(start), end=self.language.date(end)
        )

    def old(self) -> bool:
        """Whether the evidence is of more than one day, hence hardly of one run."""
        found = span(self.records)
        return found is not None and (found[1] - found[0]).total_seconds() > DAY

    def moment(self, at: datetime.datetime) -> str:
        """Return a day and an hour."""
        return f"{self.language.date(at)}, {self.language.time(at)}"

    def took(self, record: Record) -> str:
        """Return how long the stage took."""
        content = record.content
        if content is None:
            return ""
        return self.language.duration(round((content.ended - content.started).total_seconds()))

    def stage(self, record: Record) -> str:
        """Return what an evidence file is about."""
        return self.language.text(STAGES[record.name])

    def rows(self, record: Record) -> list[Row]:
        """Return the checks of an evidence file, the failed ones first."""
        checks = record.content.checks if record.content else ()
        return [self.row(check) for check in sorted(checks, key=lambda check: check.passed)]

    def row(self, check: CheckRead) -> Row:
        """Return one check, ready to be shown."""
        return Row(
            check.id,
            check.passed,
            say_check(check.id, self.subjects, self.language),
            self._value(check),
            self.language.quantity(check.limit, _measure(check.unit)),
            say_note(check.note, self.language),
        )

    def _value(self, check: CheckRead) -> str:
        if isinstance(check.value, str) and self.language.knows(check.value):
            return self.language.text(check.value)
        return self.language.quantity(check.value, check.unit)

    def failures(self) -> list[tuple[Record, list[Row]]]:
        """Return what went wrong, by evidence file: broken files and failed checks."""
        return [
            (record, [row for row in self.rows(record) if not row.passed])
            for record in self.records
            if not record.missing and not record.passed
        ]

    def faults(self, record: Record) -> list[Said]:
        """Return why a file cannot be believed."""
        return [say_note(fault, self.language) for fault in record.faults]

    def cards(self) -> list[Card]:
        """Return the promises in their order."""
        return [self._card(judged) for judged in self.judgement.promises]

    def _card(self, judged: Judged) -> Card:
        checks = [check for one in judged.records if one.content for check in one.content.checks]
        figured = [
            check
            for one in judged.records
            if one.content and one.name not in judged.promise.against
            for check in one.content.checks
        ]
        found = span(judged.records)
        return Card(
            judged,
            self._figures(figured),
            len(checks),
            sum(not check.passed for check in checks),
            self.moment(found[1]) if found else "",
            tuple(fault for one in judged.records for fault in one.faults),
            self.language.listing([self.language.text(STAGES[name]) for name in judged.untried])
            if judged.state is not State.UNTRIED
            else "",
            any(map(is_commissioning, judged.records)),
        )

    def _figures(self, checks: list[CheckRead]) -> tuple[Figure, ...]:
        measured = [
            check
            for check in checks
            if isinstance(check.value, int | float) and not isinstance(check.value, bool)
        ]
        named = []
        for check in checks:
            words, subject = words_of(check.id, self.subjects)
            shown = check in measured or self.language.is_moment(check.value)
            if words and words.figure and shown:
                named.append((check, Said(self.language.text(words.figure, subject=subject))))
        if not named:
            named = [(one, say_check(one.id, self.subjects, self.language)) for one in measured]
        return tuple(
            Figure(
                self.language.quantity(check.value, _measure(check.unit)),
                name,
                self.language.quantity(check.limit, _measure(check.unit)),
                check.passed,
                self.language.is_moment(check.value),
            )
            for check, name in named[:FIGURES_MAX]
        )

    def teller(self) -> Teller | None:
        """Return who tells of the UPSes and their batteries, if that was asked in this run."""
        for record in self.records:
            if record.name == BATTERIES and record.content:
                return Teller(record, self.language, self.subjects)
        return None

    def drawings(self) -> list[Drawing]:
        """Return the timelines of the move and of the power cut, as far as there are events."""
        return [
            drawing_of(record, self.language)
            for record in self.records
            if record.name in TIMELINES and record.content and record.content.events
        ]


def drawing_of(record: Record, say: Language) -> Drawing:
    """Return the drawing of an evidence file, which must hold events."""
    assert record.content is not None  # noqa: S101  # asked for by the caller
    found = sorted(record.content.events, key=lambda event: event.at)
    events = [one.model_copy(update={"subject": say_subject(one.subject, say)}) for one in found]
    seconds = (events[-1].at - events[0].at).total_seconds()
    description = say.plural(
        "{count} event in {time}, from {start} on.",
        "{count} events in {time}, from {start} on.",
        len(events),
        time=say.duration(round(seconds, 1)),
        start=say.time(events[0].at, seconds=True),
    )
    shapes = (("wide", WIDE), ("narrow", NARROW))
    series = record.content.series
    charts = (("wide", WIDE_CHART), ("narrow", NARROW_CHART)) if record.name in CHARTS else ()
    return Drawing(
        record.name,
        say.text(TIMELINES.get(record.name, STAGES[record.name])),
        description,
        tuple((name, lay_out(events, say, shape)) for name, shape in shapes),
        tuple(
            (say.time(one.at, seconds=True), one.subject, say_event(one.what, say)[0])
            for one in events
        ),
        tuple((name, draw(found, series, say, shape)) for name, shape in charts),
    )


def chart_of(record: Record, language: Language) -> str:
    """Return the chart of an evidence file as an SVG document of its own."""
    assert record.content is not None  # noqa: S101  # asked for by the caller
    drawing = drawing_of(record, language)
    chart = draw(record.content.events, record.content.series, language, WIDE_CHART)
    template = environment(language).get_template("chart.svg.j2")
    return template.render(drawing=drawing, name="wide", chart=chart, standalone=True)


def _measure(unit: str) -> str:
    """Return the unit if it is one of measure; a counted thing is named beside the number."""
    return "" if unit in UNITS else unit


def environment(language: Language) -> jinja2.Environment:
    """Return the templates' environment: everything is escaped, a missing name is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        _=language.text,
        plural=language.plural,
        STATES=STATES,
        STAGES=STAGES,
        FILE_STATES=FILE_STATES,
    )
    return env


def render(
    town: str,
    records: Mapping[str, Record],
    judgement: Judgement,
    language: Language,
    *,
    subjects: Collection[str],
    written: datetime.datetime,
) -> str:
    """Return the page of a town; `subjects` are the names of its guests and hosts."""
    view = View(records, judgement, language, subjects)
    page = environment(language).get_template("page.html.j2")
    return page.render(town=town, view=view, language=language, written=written, State=State)
