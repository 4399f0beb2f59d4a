"""Timelines: labels in order, none over another, marks where the time is."""

from __future__ import annotations

import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st

from releve.drills.report.language import Language
from releve.drills.report.read import EventRead
from releve.drills.report.timeline import NARROW, WIDE, lay_out, spread

START = datetime.datetime(2026, 11, 25, 8, tzinfo=datetime.UTC)
ENGLISH = Language.of("en")


def events(*told: tuple[float, str, str]) -> list[EventRead]:
    return [
        EventRead(at=START + datetime.timedelta(seconds=at), subject=subject, what=what)
        for at, subject, what in told
    ]


@given(
    st.lists(
        st.tuples(st.floats(0, 900), st.sampled_from("abc"), st.text(max_size=90)),
        min_size=1,
        max_size=40,
    )
)
def test_labels_never_overlap_and_stay_on_the_drawing(
    told: list[tuple[float, str, str]],
) -> None:
    for shape in (WIDE, NARROW):
        drawing = lay_out(events(*told), ENGLISH, shape)

        ends = [label.top + 17 * len(label.lines) for label in drawing.labels]
        tops = [label.top for label in drawing.labels]
        assert all(end <= top + 0.01 for end, top in zip(ends, tops[1:], strict=False))
        assert tops[0] >= shape.head - 0.01
        assert ends[-1] <= drawing.height
        assert all(shape.head <= label.y <= drawing.height for label in drawing.labels)
        assert [label.y for label in drawing.labels] == sorted(label.y for label in drawing.labels)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(5, 80)), min_size=1, max_size=30))
def test_labels_that_have_room_stand_at_their_mark(labels: list[tuple[float, float]]) -> None:
    labels.sort()
    marks, heights = [mark for mark, _ in labels], [height for _, height in labels]

    tops = spread(marks, heights)

    for index, top in enumerate(tops):
        free_above = index == 0 or tops[index - 1] + heights[index - 1] < top - 1e-6
        free_below = index == len(tops) - 1 or top + heights[index] < tops[index + 1] - 1e-6
        if free_above and free_below:
            assert abs(top - (marks[index] - heights[index] / 2)) < 1e-6 or index > 0


def test_the_state_of_a_service_is_drawn_where_events_tell_it() -> None:
    drawing = lay_out(
        events(
            (0, "compta", "seed began"),
            (10, "compta", "guest off"),
            (16, "compta", "guest answers"),
        ),
        ENGLISH,
        WIDE,
    )

    assert [band.state for band in drawing.bands] == ["on", "off", "on"]
    off = drawing.bands[1]
    stopped, back = drawing.labels[1].y, drawing.labels[2].y
    assert (off.top, off.top + off.height) == (stopped, back)


def test_long_labels_are_broken_to_the_width() -> None:
    (label,) = lay_out(events((0, "compta", "verified " * 12)), ENGLISH, NARROW).labels

    assert len(label.lines) > 3
    assert all(len(line) < 45 for line in label.lines)


def test_the_axis_has_ticks_that_keep_apart() -> None:
    drawing = lay_out(events((0, "a", "x"), (133, "b", "y")), ENGLISH, WIDE)

    ys = [tick.y for tick in drawing.ticks]
    assert len(ys) >= 3
    assert {len(tick.text) for tick in drawing.ticks} == {4}
    assert min(after - before for before, after in itertools.pairwise(ys)) >= 40
