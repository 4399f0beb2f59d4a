"""What is counted on of a battery, by its age and by when it was measured."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from releve.power.ageing import Age, derate_of

TODAY = date(2026, 12, 1)


@pytest.mark.parametrize(
    ("installed", "share"),
    [
        (date(2026, 11, 1), 0.8),
        (date(2024, 12, 2), 0.8),  # not yet two years
        (date(2024, 11, 1), 0.75),  # the third year has begun
        (date(2023, 11, 1), 0.7),
        (date(2022, 12, 2), 0.7),  # not yet four years: within its life
        (date(2022, 11, 1), 0.6),  # older than its life of 48 months
        (date(2015, 1, 1), 0.3),
    ],
)
def test_it_loses_a_twentieth_a_year_and_more_past_its_life(installed: date, share: float) -> None:
    assert derate_of(0.8, Age(installed), TODAY) == share


def test_a_deep_measurement_has_the_ageing_until_its_day_in_it() -> None:
    age = Age(date(2022, 11, 1), measured_on=date(2026, 10, 1), measured_how="deep")

    assert derate_of(0.8, age, TODAY) == 0.75  # one more year begun since
    assert derate_of(0.8, Age(age.installed, 48, age.measured_on, "quick"), TODAY) == 0.6


def test_an_old_measurement_does_not_speak_for_a_battery_past_its_life() -> None:
    age = Age(date(2021, 1, 1), measured_on=date(2025, 6, 1), measured_how="plug-pull")

    assert derate_of(0.8, age, TODAY) == 0.6


def test_a_measurement_of_a_day_that_has_not_come_excuses_no_age() -> None:
    age = Age(date(2015, 1, 1), measured_on=TODAY + timedelta(days=2), measured_how="deep")

    assert derate_of(0.8, age, TODAY) == derate_of(0.8, Age(date(2015, 1, 1)), TODAY)


def test_without_a_date_of_installation_the_measurement_ages() -> None:
    assert derate_of(0.8, Age(), TODAY) == 0.8
    assert derate_of(0.8, Age(measured_on=date(2026, 1, 1)), TODAY) == 0.8
    assert derate_of(0.8, Age(measured_on=date(2024, 6, 1)), TODAY) == 0.7
