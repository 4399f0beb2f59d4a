"""A shutdown that the battery cannot carry is refused with its numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

from releve.power.budget import Settings, budget_of, guests_seconds

GOOD = Settings(
    capacity_seconds=1200,
    derate=0.8,
    margin=1.25,
    ride_through_seconds=120,
    driver_poll=2,
    pollfreq=5,
    pollfreqalert=2,
    hostsync=15,
    finaldelay=5,
    offdelay=60,
    ondelay=120,
    stop_seconds=60,
    workers=1,
    guests=[
        {"name": "compta", "order": 1, "stop_seconds": 60},
        {"name": "dossiers", "order": 2, "stop_seconds": 90},
    ],
    clients=[{"name": "nas", "stop_seconds": 45}],
)


def but(**changes: Any) -> Settings:
    return dataclasses.replace(GOOD, **changes)


def test_need_is_the_sum_of_the_worst_steps() -> None:
    budget = budget_of(GOOD)

    # 7 to see it, 15 for the clients, 5 delay, (60+1)+(90+1) guests, 60 the host
    assert budget.need == 239
    assert budget.trigger == 299
    assert budget.faults == []


def test_all_triggers_stand_for_the_same_moment() -> None:
    budget = budget_of(GOOD)

    assert budget.timer == 1200 * 0.8 - 299
    assert budget.runtime_low is not None
    assert budget.charge_low is not None
    assert budget.runtime_low * 0.8 >= 299 > (budget.runtime_low - 2) * 0.8
    assert budget.charge_low / 100 * 960 >= 299 > (budget.charge_low - 1) / 100 * 960


def test_guests_of_one_order_share_the_workers() -> None:
    same = [{"name": name, "order": 1, "stop_seconds": 10} for name in "abc"]

    assert guests_seconds(same, workers=1) == 31
    assert guests_seconds(same, workers=2) == 21
    assert guests_seconds(same, workers=8) == 11
    assert guests_seconds([], workers=1) == 0


def test_a_battery_that_is_too_small_is_refused_with_the_numbers() -> None:
    (fault,) = budget_of(but(capacity_seconds=500)).faults

    assert "needs 239 s (x 1.25 = 299 s)" in fault
    assert "carries 400 s (500 s measured x 0.8)" in fault
    assert "dossiers 90 s, compta 60 s" in fault


def test_a_battery_just_large_enough_is_not() -> None:
    assert budget_of(but(capacity_seconds=524)).faults == []
    assert len(budget_of(but(capacity_seconds=523)).faults) == 1


def test_a_client_slower_than_the_cut_is_refused_by_name() -> None:
    (fault,) = budget_of(but(clients=[{"name": "nas", "stop_seconds": 90}])).faults

    assert fault.startswith("nas needs 90 s to stop")
    assert "raise offdelay by 25 s" in fault


def test_power_that_returns_before_it_is_gone_is_refused() -> None:
    (fault,) = budget_of(but(ondelay=60)).faults

    assert fault == "ondelay 60 s must be more than offdelay 60 s"


def test_without_clients_nobody_is_waited_for() -> None:
    assert budget_of(but(clients=[])).need == 239 - 15


def test_a_ups_that_was_never_measured_stops_the_site_early() -> None:
    budget = budget_of(dataclasses.replace(GOOD, capacity_seconds=None, commissioning_seconds=45))

    assert (budget.timer, budget.runtime_low, budget.charge_low) == (45, None, None)
    assert budget.faults == []
