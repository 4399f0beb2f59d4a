"""Lay out a timeline: time runs down, one column per subject, one readable label per event.

Marks stand where the time is; labels stand beside them in the same order, moved apart just enough
that none overlaps, and joined to their mark by a line.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.drills.report.words import say_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.drills.report.language import Language
    from releve.drills.report.read import EventRead

LINE, GAP, BOTTOM = 17.0, 7.0, 18.0  # pixels: text line, space between labels, lower margin
LEADER = 34.0  # pixels from the last column to the labels
MINUTES_FROM = 120  # seconds of a span from which the axis counts in minutes
CHARACTER = 7.6  # pixels of an average character at 13 px in a wide font
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


@dataclass(frozen=True, slots=True)
class Shape:
    """The measures of one drawing, in pixels; `upright` turns the column heads."""

    width: float
    axis: float
    lane: float
    head: float
    upright: bool


WIDE = Shape(width=900, axis=76, lane=86, head=30, upright=False)
NARROW = Shape(width=340, axis=50, lane=19, head=92, upright=True)


@dataclass(frozen=True, slots=True)
class Lane:
    """One column: its name and the middle of it."""

    name: str
    x: float


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of one column in one state: on, off or battery."""

    x: float
    top: float
    height: float
    state: str


@dataclass(frozen=True, slots=True)
class Label:
    """One event: its mark at (x, y), its lines of text from `top` on; the first holds the time."""

    x: float
    y: float
    top: float
    time: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the time axis."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that a drawing shows."""

    shape: Shape
    height: float
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    labels: tuple[Label, ...]
    ticks: tuple[Tick, ...]
    text_x: float


def lay_out(events: Sequence[EventRead], language: Language, shape: Shape) -> Timeline:
    """Return the drawing of the events, which must be at least one."""
    events = sorted(events, key=lambda event: event.at)
    offsets = [(event.at - events[0].at).total_seconds() for event in events]
    lanes = _lanes(events, shape)
    text_x = lanes[-1].x + (lanes[0].x - shape.axis) + LEADER
    times = [language.duration(round(offset, 2)) for offset in offsets]
    columns = max(12, int((shape.width - text_x) / CHARACTER))
    texts = [
        _wrap(time, event, language, columns) for time, event in zip(times, events, strict=True)
    ]
    heights = [len(lines) * LINE + GAP for lines in texts]
    length = max(sum(heights) * 1.05, 160)
    top = shape.head + heights[0] / 2
    scale = (length - heights[0] / 2 - heights[-1] / 2) / (offsets[-1] or 1)
    marks = [top + offset * scale for offset in offsets]
    where = {lane.name: lane.x for lane in lanes}
    labels = tuple(
        Label(where[event.subject], y, at, time, lines)
        for event, y, at, time, lines in zip(
            events, marks, spread(marks, heights), times, texts, strict=True
        )
    )
    bottom = max(shape.head + length, labels[-1].top + heights[-1])
    turns = [
        (event.subject, y, say_event(event.what, language)[1])
        for event, y in zip(events, marks, strict=True)
    ]
    bands = _bands(turns, where, shape.head, bottom)
    marked = ticks(offsets[-1], top, scale, language)
    return Timeline(shape, bottom + BOTTOM, lanes, bands, labels, marked, text_x)


def _lanes(events: Sequence[EventRead], shape: Shape) -> tuple[Lane, ...]:
    """Return one column per subject, by first appearance, on at most half of the drawing."""
    names = list(dict.fromkeys(event.subject for event in events))
    width = min(shape.lane, shape.width * 0.45 / len(names))
    return tuple(Lane(name, shape.axis + (index + 0.5) * width) for index, name in enumerate(names))


def spread(marks: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return the tops of labels, in order, none over another, each as near its mark as can be.

    Labels that would overlap are joined to a block that stands at the mean of what its members
    want (the pool-adjacent-violators rule); no label rises above the first one's place.
    """
    blocks: list[tuple[float, float, int]] = []  # wanted top, height, members
    for mark, height in zip(marks, heights, strict=True):
        top, size, count = mark - height / 2, height, 1
        while blocks and blocks[-1][0] + blocks[-1][1] > top:
            above_top, above_size, above_count = blocks.pop()
            wanted = above_top * above_count + (top - above_size) * count
            top, size, count = (
                wanted / (above_count + count),
                above_size + size,
                above_count + count,
            )
            top = max(top, marks[0] - heights[0] / 2)
        blocks.append((top, size, count))
    tops: list[float] = []
    sizes = iter(heights)
    for top, _size, count in blocks:
        at = top
        for _ in range(count):
            tops.append(at)
            at += next(sizes)
    return tops


def _wrap(time: str, event: EventRead, language: Language, columns: int) -> tuple[str, ...]:
    """Return the label's lines without the time, for which the first leaves room."""
    said, _effect = say_event(event.what, language)
    text = language.text("{subject}: {what}", subject=event.subject, what=said.text)
    first, *others = textwrap.wrap(f"{time} {text}", columns)  # the time has only hard spaces
    return first.removeprefix(time).strip(), *others


def stretches(
    turns: Sequence[tuple[str, float, str]], name: str, begin: float, end: float
) -> list[tuple[float, float, str]]:
    """Return the states of a subject as (from, to, state), or nothing when none is told.

    `turns` are (subject, place, effect), in order. What it was before its first turn follows from
    that: whoever starts was off, whoever does anything else was on.
    """
    mine = [(place, effect) for subject, place, effect in turns if subject == name and effect]
    if not mine:
        return []
    found: list[tuple[float, float, str]] = []
    state, since = ("off" if mine[0][1] == "on" else "on"), begin
    for place, effect in [*mine, (end, "")]:
        if place > since:
            found.append((since, place, state))
        state, since = effect, place
    return found


def _bands(
    turns: Sequence[tuple[str, float, str]], where: dict[str, float], head: float, bottom: float
) -> tuple[Band, ...]:
    """Return the stretches of the subjects whose state is told: (subject, y, effect), in order."""
    return tuple(
        Band(x, since, until - since, state)
        for name, x in where.items()
        for since, until, state in stretches(turns, name, head + 4, bottom)
    )


def ticks(
    span: float, first: float, scale: float, language: Language, apart: float = 40
) -> tuple[Tick, ...]:
    """Return the marks of an axis from `first` on, at least `apart` pixels from each other."""
    room = apart / scale  # seconds
    step = next((step for step in STEPS if step >= room), math.ceil(room / 3600) * 3600)
    count = int(span / step) + 1 if span else 1
    return tuple(
        Tick(first + number * step * scale, _tick(number * step, span, language))
        for number in range(count)
    )


def _tick(seconds: float, span: float, language: Language) -> str:
    """Return a time of the axis, short enough for its narrow column: 12.5 s or 2:10."""
    if span < MINUTES_FROM:
        return language.duration(round(seconds, 1))
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
