"""Charts: everything stands where the time is, inside of the drawing, and is sound XML."""

from __future__ import annotations

import datetime
import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releve.drills.evidence import Evidence
from releve.drills.report.chart import NARROW_CHART, WIDE_CHART, draw
from releve.drills.report.language import Language
from releve.drills.report.page import chart_of
from releve.drills.report.read import EventRead, SeriesRead, read_record

if TYPE_CHECKING:
    from pathlib import Path

START = datetime.datetime(2026, 11, 25, 8, tzinfo=datetime.UTC)
ENGLISH = Language.of("en")
FRENCH = Language.of("fr")
CUT = ((0, "mains", "mains are lost"), (20, "pve1", "halted"), (40, "mains", "mains are back"),
       (50, "pve1", "is back"))  # fmt: skip


def at(second: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=second)


def events(*told: tuple[float, str, str]) -> list[EventRead]:
    return [EventRead(at=at(second), subject=who, what=what) for second, who, what in told]


def charge(*points: tuple[float, float]) -> SeriesRead:
    return SeriesRead(
        subject="ups1", quantity="charge", unit="%",
        points=tuple((at(second), value) for second, value in points),
    )  # fmt: skip


def test_bars_end_where_something_happens() -> None:
    chart = draw(events(*CUT), [], ENGLISH, WIDE_CHART)

    assert [row.name for row in chart.rows] == ["mains", "pve1"]
    pve1 = [(bar.state, bar.x) for bar in chart.bars if bar.y == chart.rows[1].y - 5]
    assert [state for state, _x in pve1] == ["on", "off"]
    width = chart.right - chart.left
    assert pve1[1][1] == pytest.approx(chart.left + width * 20 / 50)
    assert chart.curves == ()


def test_the_charge_falls_over_the_rows() -> None:
    chart = draw(events(*CUT), [charge((-5, 100), (25, 50), (50, 0))], ENGLISH, WIDE_CHART)

    (curve,) = chart.curves
    heights = [float(y) for _x, y in re.findall(r"([\d.]+) ([\d.]+)", curve.line)]
    assert heights == [chart.top, (chart.top + chart.floor) / 2, chart.floor]
    assert curve.area.endswith("Z")
    assert chart.floor < chart.rows[0].y
    assert chart.marks[0].x > chart.left  # the curve begins before the first event


@given(
    st.lists(
        st.tuples(st.floats(0, 900), st.sampled_from(["mains", "pve1", "a-very-long-name"]),
                  st.sampled_from(["mains are lost", "is back", "halted", "x"])),
        min_size=1, max_size=30,
    ),
    st.lists(st.tuples(st.floats(0, 900), st.floats(-10, 300)), max_size=30),
)  # fmt: skip
def test_all_of_it_is_inside(
    told: list[tuple[float, str, str]], points: list[tuple[float, float]]
) -> None:
    for shape in (WIDE_CHART, NARROW_CHART):
        chart = draw(events(*told), [charge(*points)], FRENCH, shape)

        places = [mark.x for mark in chart.marks]
        places += [bar.x for bar in chart.bars] + [bar.x + bar.width for bar in chart.bars]
        places += [tick.y for tick in chart.ticks]
        assert all(chart.left - 0.1 <= x <= chart.right + 0.1 for x in places)
        assert chart.right <= shape.width
        for curve in chart.curves:
            numbers = re.findall(r"([\d.]+) ([\d.]+)", curve.line)
            assert all(chart.top - 0.1 <= float(y) <= chart.floor + 0.1 for _x, y in numbers)
        assert all(row.y + 12 <= chart.height for row in chart.rows)


def test_the_file_is_sound_and_needs_nothing_else(tmp_path: Path) -> None:
    with Evidence("power", tmp_path) as evidence:
        evidence.check("x", passed=True)
        evidence.event("<b>", 'cut & "run" <script>', "2026-11-25T08:00:00Z")
        evidence.event("mains", "mains are lost", "2026-11-25T08:00:05Z")
        evidence.sample("ups1", "charge", 97, "%", "2026-11-25T08:00:01Z")
        evidence.sample("ups1", "charge", 42.5, "%", "2026-11-25T08:00:04Z")

    record = read_record(tmp_path / "power.json")
    assert record.passed
    text = chart_of(record, FRENCH)

    root = ET.fromstring(text)  # noqa: S314  # our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Charge de ups1" in text
    assert "<script>" not in text
    assert not re.search(r"href|url\(|@import", text)
    assert json.loads((tmp_path / "power.json").read_text())["series"][0]["points"][1][1] == 42.5
