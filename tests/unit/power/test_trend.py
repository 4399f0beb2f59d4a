"""A value that does not behave like a battery's is none, from look to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.power.instant import Instant
from releve.power.ladder import Known, Site
from releve.power.readings import read
from releve.power.trend import Seen, State, advance

if TYPE_CHECKING:
    from collections.abc import Sequence

SITE = Site(need=600)
KNOWN = Known(capacity_seconds=1800)
OB = {
    "ups.status": "OB", "battery.charge": "90", "battery.runtime": "1799", "ups.load": "30",
    "battery.voltage": "25.0", "input.voltage": "0", "input.voltage.nominal": "230",
}  # fmt: skip
OL = {**OB, "ups.status": "OL", "input.voltage": "230"}


def course(*looks: tuple[float, dict[str, str]], known: Known = KNOWN) -> list[Seen]:
    """Return what is seen at these moments, values changed from those of an outage."""
    state, seen = State(), []
    for when, values in looks:
        now = Instant(wall=when, up=when, boot="a")
        state, one = advance(state, now, read({**OB, **values}), SITE, known)
        seen.append(one)
    return seen


def runtimes(*looks: tuple[float, dict[str, str]]) -> list[float | None]:
    return [None if one.readings is None else one.readings.runtime for one in course(*looks)]


def said(times: Sequence[float], values: Sequence[str], **more: str) -> list[float | None]:
    changed = {name.replace("_", "."): value for name, value in more.items()}
    return runtimes(
        *((t, {"battery.runtime": one, **changed}) for t, one in zip(times, values, strict=True))
    )


def test_a_runtime_that_stands_still_for_a_minute_is_none() -> None:
    assert said([0, 30, 59, 60, 90], ["1799"] * 5) == [1799, 1799, 1799, None, None]


def test_a_runtime_of_whole_minutes_gets_two() -> None:
    assert said([0, 60, 119, 120], ["1800"] * 4) == [1800, 1800, 1800, None]


def test_a_runtime_that_falls_again_is_believed_again() -> None:
    assert said([0, 60, 61], ["1799", "1799", "900"]) == [1799, None, 900]


def test_a_runtime_that_rises_is_none_until_the_next_outage() -> None:
    rises = said([0, 10, 20, 30], ["1000", "1101", "500", "400"])
    assert rises == [1000, None, None, None]

    again = runtimes(
        (0, {"battery.runtime": "1000"}), (10, {"battery.runtime": "1200"}),
        (20, OL), (30, {"battery.runtime": "700"}),
    )  # fmt: skip
    assert again == [1000, None, 1799, 700]


def test_a_runtime_may_rise_a_little_and_with_a_load_that_fell() -> None:
    assert said([0, 10], ["1001", "1099"]) == [1001, 1099]

    lighter = runtimes(
        (0, {"battery.runtime": "1001", "ups.load": "60"}),
        (10, {"battery.runtime": "1999", "ups.load": "30"}),
    )
    assert lighter == [1001, 1999]


def test_a_runtime_that_falls_faster_than_the_clock_is_believed() -> None:
    assert said([0, 60], ["1799", "1199"]) == [1799, 1199]


def test_a_charge_that_rises_is_none_and_one_that_stands_still_is_kept() -> None:
    rises = course((0, {"battery.charge": "50"}), (9, {"battery.charge": "60"}))
    still = course((0, {}), (900, {}))

    assert [one.readings and one.readings.charge for one in rises] == [50, None]
    assert [one.readings and one.readings.charge for one in still] == [90, 90]


def test_each_value_that_is_dropped_is_said_once() -> None:
    notes = [one.notes for one in course((0, {}), (60, {}), (70, {}), (80, {}))]

    assert [len(one) for one in notes] == [0, 1, 0, 0]
    assert "runtime has not fallen for 60 s" in notes[1][0]


def test_a_device_that_counts_seconds_has_no_grain() -> None:
    seen = course((0, {"battery.runtime": "1799"}), (1, {"battery.runtime": "1740"}))

    assert [one.readings and one.readings.grain for one in seen] == [0, 0]
    assert course((0, {"battery.runtime": "1740"}))[0].readings == read(
        {**OB, "battery.runtime": "1740"}
    )


def test_the_load_is_the_higher_of_now_and_the_last_hour() -> None:
    hour = [(60.0 * minute, {**OL, "ups.load": "40"}) for minute in range(60)]
    seen = course(*hour, (3600, {"ups.load": "20"}), (3601, {"ups.load": "70"}))

    assert [one.readings and one.readings.load for one in seen[-2:]] == [40, 70]


@pytest.mark.parametrize(("gap", "counted"), [(2, 2), (59, 59), (3600, 60)])
def test_the_cut_lies_between_two_looks(gap: float, counted: float) -> None:
    assert course((0, OL), (gap, {}))[-1].moment.on_battery == counted


def test_mains_that_are_back_forget_the_outage_and_fill_the_battery_slowly() -> None:
    seen = course((0, OL), (1, {}), (601, {}), (602, OL), (602 + 1600, OL), (2203, {}))

    assert [round(one.moment.on_battery) for one in seen] == [0, 1, 601, 0, 0, 1]
    assert seen[-1].moment.spent == pytest.approx(601 - 100, abs=2)  # 8 h from empty to full


def test_an_input_that_died_is_held_and_one_that_never_lived_is_not() -> None:
    dead = {**OL, "input.voltage": "0"}

    assert course((0, OL), (1, dead), (4, dead))[-1].moment.input_dead_held == 3
    assert course((0, OL), (1, dead), (6, dead))[-1].moment.on_battery == 5
    assert course((0, dead), (1, dead), (9, dead))[-1].moment.input_dead_held == 0
