"""Lay out a chart: time runs to the right; the battery above, below a row for each subject.

The battery's charge is a curve over the rows of the mains, the UPS, the hosts and the guests, so
that one look tells who still worked at which charge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.drills.report.timeline import Tick, stretches, ticks
from releve.drills.report.words import say_event, say_subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from releve.drills.report.language import Language
    from releve.drills.report.read import EventRead, SeriesRead

ROW, BAR, PAD = 24.0, 10.0, 12.0  # pixels: from row to row, height of a bar, right and lower margin
PANEL = 110.0  # pixels of the battery's panel
AXIS = 22.0  # pixels below the rows, for the times
LETTER = 7.2  # pixels of an average character of a row's name at 12 px
QUANTITY = "charge"
FULL = 100


@dataclass(frozen=True, slots=True)
class ChartShape:
    """The measures of one drawing, in pixels; `apart` is the room of one time."""

    width: float
    apart: float


WIDE_CHART = ChartShape(width=900, apart=64)
NARROW_CHART = ChartShape(width=340, apart=58)


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of one row in one state: on, off or battery."""

    x: float
    y: float
    width: float
    state: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An event: where it stands, and its words for who points at it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One subject: its name and the middle of its row."""

    name: str
    y: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The charge of one UPS as a path, and the same closed down to zero."""

    name: str
    line: str
    area: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that a drawing shows; `left` is where the time begins, `floor` where a charge is 0 %."""

    shape: ChartShape
    height: float
    left: float
    right: float
    top: float
    floor: float
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    curves: tuple[Curve, ...]
    levels: tuple[Tick, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    left: float
    per_second: float

    def x(self, at: datetime) -> float:
        return self.left + (at - self.begin).total_seconds() * self.per_second


def draw(
    events: Sequence[EventRead],
    series: Sequence[SeriesRead],
    language: Language,
    shape: ChartShape,
) -> Chart:
    """Return the chart of what happened; there must be at least one event."""
    events = sorted(events, key=lambda event: event.at)
    charges = [one for one in series if one.quantity == QUANTITY and one.points]
    moments = [event.at for event in events]
    moments += [at for one in charges for at, _value in one.points]
    names = list(dict.fromkeys(event.subject for event in events))
    shown = {name: say_subject(name, language) for name in names}
    left = min(shape.width * 0.3, 20 + LETTER * max(map(len, shown.values())))
    right = shape.width - PAD
    span = (max(moments) - min(moments)).total_seconds()
    scale = _Scale(min(moments), left, (right - left) / (span or 1))
    floor = 10 + PANEL if charges else 10.0
    rows = {name: floor + ROW * (place + 0.8) for place, name in enumerate(names)}
    bottom = floor + ROW * (len(names) + 0.4)
    return Chart(
        shape,
        bottom + AXIS,
        left,
        right,
        10.0,
        floor,
        tuple(Row(shown[name], y) for name, y in rows.items()),
        tuple(_bars(events, rows, scale, language, right)),
        tuple(_marks(events, rows, scale, language)),
        tuple(_curve(one, scale, floor) for one in charges),
        tuple(Tick(_height(value, floor), language.quantity(value, "%")) for value in (0, 50, FULL))
        if charges
        else (),
        ticks(span, left, scale.per_second, language, shape.apart),
    )


def _bars(
    events: Sequence[EventRead], rows: dict[str, float], scale: _Scale, language: Language,
    right: float,
) -> list[Bar]:  # fmt: skip
    turns = [
        (event.subject, scale.x(event.at), say_event(event.what, language)[1]) for event in events
    ]
    return [
        Bar(since, y - BAR / 2, until - since, state)
        for name, y in rows.items()
        for since, until, state in stretches(turns, name, scale.left, right)
    ]


def _marks(
    events: Sequence[EventRead], rows: dict[str, float], scale: _Scale, language: Language
) -> list[Mark]:
    begin = events[0].at
    return [
        Mark(
            scale.x(event.at),
            rows[event.subject],
            language.text(
                "{time} {what}",
                time=language.duration(round((event.at - begin).total_seconds(), 1)),
                what=say_event(event.what, language)[0].text,
            ),
        )
        for event in events
    ]


def _curve(one: SeriesRead, scale: _Scale, floor: float) -> Curve:
    places = [(scale.x(at), _height(value, floor)) for at, value in sorted(one.points)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    area = f"{line}L{places[-1][0]:.1f} {floor:.1f}L{places[0][0]:.1f} {floor:.1f}Z"
    return Curve(one.subject, line, area)


def _height(percent: float, floor: float) -> float:
    return floor - PANEL * max(0.0, min(1.0, percent / FULL))
