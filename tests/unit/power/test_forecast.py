"""When to replace a battery: by age and by trend, and never by a date that cannot be."""

from __future__ import annotations

import datetime

import pytest

from releve.power.forecast import battery_date, forecast
from releve.power.measurement import Past

TODAY = datetime.date(2026, 6, 1)


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def past(*points: tuple[str, int | None], load: float | None = 30) -> list[Past]:
    return [Past(day(on), "deep", seconds, load) for on, seconds in points]


FALLING = past(("2024-06-01", 1500), ("2025-06-01", 1400), ("2026-06-01", 1300))


@pytest.mark.parametrize(
    "text", ["2001/09/25", "1980/01/01", "1980/00/01", "2001/00/00", "CPS", "?", "", "2020/02/31"]
)
def test_dates_of_no_battery_are_unknown(text: str) -> None:
    assert battery_date({"battery.date": text}) is None


@pytest.mark.parametrize(
    ("values", "on"),
    [
        ({"battery.date": "2021-04-15"}, "2021-04-15"),
        ({"battery.date": "11/22/06"}, "2006-11-22"),
        ({"battery.date": "10/25/93"}, "1993-10-25"),
        ({"battery.date": "2001/09/25", "battery.mfr.date": "2022/10/25"}, "2022-10-25"),
    ],
)
def test_dates_of_a_battery_are_read(values: dict[str, str], on: str) -> None:
    assert battery_date(values) == day(on)


def test_age_alone() -> None:
    told = forecast(TODAY, installed=day("2024-02-29"), life_months=48)

    assert told.by == day("2028-02-28")
    assert "installed on 2024-02-29" in told.why
    assert forecast(TODAY, installed=day("2029-01-01")).by is None  # lies ahead


def test_the_trend_says_when_it_no_longer_carries() -> None:
    told = forecast(TODAY, installed=day("2024-06-01"), past=FALLING, need_seconds=1200)

    assert told.by_capacity is not None
    assert abs((told.by_capacity - day("2027-06-01")).days) <= 2
    assert told.by == told.by_capacity  # earlier than four years
    assert "its measured capacity falls below the 1200 s" in told.why


def test_nothing_is_fitted_through_too_little() -> None:
    def by(points: list[Past], need: float | None = 1200) -> datetime.date | None:
        return forecast(TODAY, installed=None, past=points, need_seconds=need).by

    assert by(FALLING[1:]) is None
    assert by(past(("2026-05-01", 1500), ("2026-05-15", 1400), ("2026-06-01", 1300))) is None
    assert by(past(("2024-06-01", 1300), ("2025-06-01", 1300), ("2026-06-01", 1350))) is None
    assert by(FALLING, None) is None
    assert by([*FALLING[:2], Past(TODAY, "deep", 1300, 60)]) is None  # at another load
    assert by([*FALLING[:2], Past(TODAY, "quick")]) is None
    assert forecast(TODAY, installed=None).why.startswith("neither")


def test_what_is_below_the_need_already_was_due_when_it_was_measured() -> None:
    low = past(("2026-05-01", 900))

    assert forecast(TODAY, installed=None, past=low, need_seconds=1200).by == day("2026-05-01")


def test_estimates_count_where_too_little_was_measured_and_are_called_so() -> None:
    estimates = [(one.on, float(one.capacity_seconds or 0)) for one in FALLING]

    told = forecast(TODAY, installed=None, past=FALLING[:1], estimates=estimates, need_seconds=1200)
    measured = forecast(TODAY, installed=None, past=FALLING, estimates=estimates, need_seconds=1200)

    assert "its estimated capacity" in told.why
    assert "its measured capacity" in measured.why


@pytest.mark.parametrize("newest", [1199, 1200])
def test_a_trend_that_wavers_is_due_no_earlier_than_it_was_measured(newest: int) -> None:
    # The line through them lies below the need everywhere, and is as good as level.
    wavering = past(("2024-06-01", 1200), ("2025-06-01", 700), ("2026-06-01", newest))
    found = forecast(TODAY, installed=None, past=wavering, need_seconds=1100).by

    assert found == (None if newest == 1200 else TODAY)


def test_a_level_trend_is_a_day_that_can_be() -> None:
    level = past(("2024-06-01", 10_000_001), ("2025-06-01", 1), ("2026-06-01", 10_000_000))

    assert forecast(TODAY, installed=None, past=level, need_seconds=9_999_999).by == TODAY
