"""What a discharge says of a UPS: what was seen, and nothing that was not."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from releve.power.measure import MOST_POINTS, Reading, record_of
from releve.power.measurement import Measurement, Moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.power.measurement import How

DAY = datetime.date(2026, 5, 31)
CAPACITY = 600


def reading(second: float, status: str | None = "OL", **values: float | None) -> Reading:
    words = None if status is None else frozenset(status.split())
    known: dict[str, float | None] = {"charge": 100.0, "voltage": 27.0, "runtime": 600, "load": 30}
    return Reading(second, words, **{**known, **values})


def falling(second: float, status: str = "OB DISCHRG") -> Reading:
    """A battery of CAPACITY seconds, honestly told."""
    left = max(0.0, 1 - second / CAPACITY)
    return reading(
        second, status, charge=100 * left, voltage=22 + 5 * left, runtime=CAPACITY * left
    )


def series(begin: int, end: int, make: Callable[[float], Reading]) -> list[Reading]:
    return [make(second) for second in range(begin, end)]


def record(
    readings: list[Reading], how: How, *, stopped: bool = False, output_off: bool = False
) -> Measurement:
    return record_of(readings, ups="ups1", how=how, on=DAY, stopped=stopped, output_off=output_off)


LINE = series(-5, 0, reading)


def test_a_plug_pull_to_low_battery() -> None:
    drained = [reading(0), reading(1), *series(2, 500, falling)]
    low = series(500, 520, lambda second: falling(second, "OB DISCHRG LB"))

    made = record([*LINE, *drained, *low], "plug-pull")

    assert made.capacity_seconds == 499  # the last look that did not say LB, from the pull
    assert (made.lb_seen, made.until) == (True, "low-battery")
    assert made.ob_seen_seconds == 2.0
    assert made.moved == Moved(charge=True, runtime=True, voltage=True)
    assert made.load_percent == 30
    assert made.mains_proven is True


def test_a_deep_test_counts_from_its_first_sign_to_its_end() -> None:
    waits = series(0, 4, reading)
    test = series(4, 405, lambda second: falling(second - 4, "OL CAL DISCHRG"))
    after = series(405, 420, lambda second: reading(second, "OL CHRG", charge=33))

    made = record([*LINE, *waits, *test, *after], "deep")

    assert (made.capacity_seconds, made.until, made.lb_seen) == (400, "test-end", False)
    assert made.ob_seen_seconds is None  # it never said OB
    assert made.mains_proven is None
    assert record([*LINE, *waits, *test, *after], "deep", stopped=True).until == "stopped"


def test_a_flash_of_low_battery_ends_nothing() -> None:
    flash = series(100, 103, lambda second: falling(second, "OB DISCHRG LB"))
    readings = [*LINE, *series(0, 100, falling), *flash, *series(103, 300, falling)]

    assert record(readings, "plug-pull").capacity_seconds == 299
    assert not record(readings, "plug-pull").lb_seen
    # also when the mains come back with it
    assert not record([*LINE, *series(0, 100, falling), *flash, reading(103)], "plug-pull").lb_seen
    # but the host may go down at its very first look
    assert record([*LINE, *series(0, 100, falling), flash[0]], "plug-pull").lb_seen


def test_a_host_that_goes_down_with_the_output_saw_at_least_that_much() -> None:
    made = record([*LINE, *series(0, 200, falling)], "drill", output_off=True)

    assert (made.capacity_seconds, made.until) == (199, "output-off")
    assert record([*LINE, *series(0, 200, falling)], "drill").until == "stopped"


def test_a_ups_that_never_says_on_battery_is_not_proven() -> None:
    constant = series(0, 180, lambda second: reading(second, "OL CHRG", load=0))

    made = record([*LINE, *constant], "plug-pull")

    assert (made.capacity_seconds, made.ob_seen_seconds, made.until) == (None, None, None)
    assert made.mains_proven is False
    assert made.curve == ()


def test_a_battery_that_was_not_full_gives_no_capacity() -> None:
    low = series(-5, 0, lambda second: reading(second, charge=80))
    unknown = series(-5, 0, lambda second: reading(second, charge=None))

    assert record([*low, *series(0, 300, falling)], "drill").capacity_seconds is None
    assert record([*unknown, *series(0, 300, falling)], "drill").capacity_seconds == 299


def test_a_quick_test_gives_no_capacity() -> None:
    made = record([*LINE, reading(0), *series(1, 11, falling), reading(11)], "quick")

    assert made.capacity_seconds is None
    assert made.ob_seen_seconds == 1.0
    assert made.moved.runtime


@pytest.mark.parametrize(
    ("status_before", "status_away", "meaning"),
    [
        ("OL DISCHRG", "OB DISCHRG", "mains"),
        ("OL", "OL DISCHRG", "battery"),
        ("OL DISCHRG", "OL DISCHRG", None),
        ("OL", "OB DISCHRG", None),
    ],
)
def test_the_two_meanings_of_discharging_on_line(
    status_before: str, status_away: str, meaning: str | None
) -> None:
    before = series(-5, 0, lambda second: reading(second, status_before))
    away = series(1, 60, lambda second: falling(second, status_away))

    assert record([*before, *away], "plug-pull").ol_discharge == meaning
    assert record([*before, *away], "deep").ol_discharge is None


def test_discharging_on_mains_is_no_sign_of_a_test() -> None:
    before = series(-5, 0, lambda second: reading(second, "OL DISCHRG"))
    still = series(0, 60, lambda second: reading(second, "OL DISCHRG"))

    assert record([*before, *still], "deep").capacity_seconds is None


def test_what_stands_still_or_rises_did_not_move() -> None:
    frozen = [*LINE, *series(0, 60, lambda second: reading(second, "OB"))]
    rising = series(0, 60, lambda second: reading(second, "OB", runtime=600 + 10 * second))
    noisy = series(0, 60, lambda second: reading(second, "OB", voltage=27 - 0.1 * (second % 2)))

    assert record(frozen, "drill").moved == Moved()
    assert not record([*LINE, *rising], "drill").moved.runtime
    assert not record([*LINE, *noisy], "drill").moved.voltage


def test_gaps_and_missing_values_stay_unknown() -> None:
    gap = series(100, 160, lambda second: reading(second, None))
    bare = series(
        160, 200, lambda second: reading(second, "OB", charge=None, runtime=None, load=None)
    )

    made = record([*LINE, *series(0, 100, falling), *gap, *bare], "plug-pull")

    assert made.capacity_seconds == 199
    assert all(not 100 <= point.seconds < 160 for point in made.curve)
    assert made.curve[-1] == (199, None, 27.0, None)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    made = record([*LINE, *series(0, 3600, lambda second: falling(second / 10))], "deep")
    slow = record([*LINE, *[falling(second) for second in range(0, 7200, 3)]], "deep")

    for one in (made, slow):
        assert 50 < len(one.curve) <= MOST_POINTS
    assert slow.curve[0].seconds == 0
    assert slow.curve[-1].seconds == 7197


def test_what_can_be_cut_is_offered() -> None:
    def cut(*commands: str) -> str | None:
        return record_of(LINE, ups="ups1", how="quick", on=DAY, commands=commands).cut

    assert cut("shutdown.return", "beeper.off") == "offered"
    assert cut("load.off.delay") == "offered"
    assert cut("load.off", "test.battery.start") == "none"
    assert cut("driver.killpower", "driver.reload") is None  # each driver has these
    assert cut() is None  # not asked, or a driver that offers nothing: neither is a "no"
