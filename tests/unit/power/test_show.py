"""A budget for people: the numbers of the budget, and no other."""

from __future__ import annotations

import dataclasses

import pytest

from releve.power.budget import Settings, budget_of
from releve.power.show import clock, gantt, sentences, table

ONE = Settings(
    capacity_seconds=1200, derate=0.8, margin=1.25, ride_through_seconds=120, driver_poll=2,
    pollfreq=5, pollfreqalert=2, hostsync=15, finaldelay=5, offdelay=60, ondelay=120,
    stop_seconds=60, workers=1, clients=[{"name": "nas", "stop_seconds": 45}],
    guests=[
        {"name": "compta", "order": 1, "stop_seconds": 60, "measured_seconds": 12},
        {"name": "dossiers", "order": 2, "stop_seconds": 90, "measured_seconds": 20},
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (-61, "-1:01"), (3600, "60:00")],
)
def test_times_are_minutes_and_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_table_says_whether_it_holds_and_what_is_left() -> None:
    lines = table("ups1", ONE, budget_of(ONE))

    assert lines[0] == "ups1: holds, 9:07 to spare in the worst case"
    assert [line.split() for line in lines if "together" in line] == [["together", "4:53", "1:59"]]
    assert any(line.endswith("16:00") and "(20:00 measured x 0.8)" in line for line in lines)


def test_a_battery_that_is_too_small_is_said_first() -> None:
    small = dataclasses.replace(ONE, capacity_seconds=300)
    budget = budget_of(small)

    assert table("ups1", small, budget)[0] == "ups1: does not hold"
    assert any("-2:53" in line for line in table("ups1", small, budget))
    assert sentences(budget)[0].startswith("fault: the shutdown needs 293 s")


def test_what_was_never_measured_is_not_proved() -> None:
    fresh = dataclasses.replace(ONE, capacity_seconds=None)

    assert "not proved" in table("ups1", fresh, budget_of(fresh))[0]


def test_the_timeline_has_worst_and_expected_side_by_side() -> None:
    lines = {line.split("  ")[1]: line for line in gantt(budget_of(ONE))[1:]}

    assert "2:36-3:51" in lines["compta"]
    assert "0:44-0:57" in lines["compta"]
    order = list(lines)
    assert order.index("dossiers") < order.index("compta") < order.index("the host itself")
    assert all(len(line) <= 100 for line in gantt(budget_of(ONE)))


def test_both_halves_have_the_same_scale() -> None:
    line = next(line for line in gantt(budget_of(ONE)) if "the host itself" in line)
    worst, expected = line.partition("  the host itself")[2].split("#", 1)

    assert worst.count(".") > expected.count(".") > 0
