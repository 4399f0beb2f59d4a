"""Which clients hear of a shutdown without mains, and by which of the three ways."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from releve.power.supply import (
    Battery,
    Client,
    HostRule,
    How,
    Path,
    Site,
    faults,
    judge,
    supply_faults,
    window_of,
)

SITE = Site("ups1", {"ups1": Battery(1200, 0.8), "small": Battery(300, 0.8)}, 300, 15)
FED, DEAD, CABLE = Path("switch1", "ups1"), Path("switch2", "mains"), Path("cable")


def nas(*paths: Path, **changes: Any) -> Client:
    return Client("nas", paths, stop_seconds=45, **changes)


def test_a_switch_on_the_ups_is_enough() -> None:
    assert judge(nas(FED), SITE).how is How.FED
    assert judge(nas(CABLE), SITE).how is How.FED


def test_a_switch_on_the_mains_is_refused_by_name_with_the_ways_out() -> None:
    (fault,) = faults([nas(DEAD), nas(FED)], SITE)

    assert fault.startswith("nas would not hear of a shutdown without mains: switch2 is fed by the")
    assert "feed it from ups1, or give the client a second path with MINSUPPLIES 2" in fault


def test_nobody_said_is_not_taken_for_fed() -> None:
    verdict = judge(nas(Path("switch3")), SITE)

    assert verdict.how is None
    assert "nobody has said what feeds switch3" in str(verdict.fault)


def test_no_path_at_all_is_refused() -> None:
    assert "no path from ups1's host is known" in str(judge(nas(), SITE).fault)


def test_a_ups_that_is_not_in_the_town_feeds_nothing() -> None:
    assert "ups9, which is no UPS of this town" in str(judge(nas(Path("s", "ups9")), SITE).fault)


@pytest.mark.parametrize(("capacity", "fed"), [(1199, False), (1200, True), (None, False)])
def test_a_switch_on_another_ups_has_to_last_as_long(capacity: int | None, fed: bool) -> None:
    site = dataclasses.replace(
        SITE, batteries=dict(SITE.batteries) | {"ups2": Battery(capacity, 0.8)}
    )
    verdict = judge(nas(Path("switch4", "ups2")), site)

    assert (verdict.how is How.FED) == fed
    if not fed:
        assert "of ups1" in str(verdict.fault)


def test_a_second_path_counts_only_with_minsupplies_of_all() -> None:
    assert judge(nas(DEAD, CABLE, min_supplies=2), SITE).how is How.SECOND_PATH
    verdict = judge(nas(DEAD, CABLE, min_supplies=1), SITE)
    assert verdict.how is None
    assert "set MINSUPPLIES 2" in str(verdict.fault)


def test_two_paths_that_both_die_are_none() -> None:
    assert judge(nas(DEAD, Path("switch3", "mains"), min_supplies=2), SITE).how is None


def test_the_window_of_a_host_rule_is_computed() -> None:
    window = window_of(HostRule(planned_outage=121), SITE, stop_seconds=45)

    assert window is not None
    # 121 x 1.5 rounded up; 1200 x 0.8 - 300 - 15 - 45
    assert (window.above, window.below) == (182, 600)
    assert judge(nas(DEAD, rule=HostRule(121)), SITE).after == 391


@pytest.mark.parametrize(("after", "good"), [(182, False), (183, True), (599, True), (600, False)])
def test_a_host_rule_fires_inside_its_window_only(after: int, good: bool) -> None:
    verdict = judge(nas(DEAD, rule=HostRule(121, after)), SITE)

    assert (verdict.how is How.HOST_RULE) == good
    assert good or f"fires after {after} s, it has to be later than 182 s" in str(verdict.fault)


@pytest.mark.parametrize(("planned", "good"), [(398, True), (399, False), (900, False)])
def test_an_empty_window_is_refused_with_its_numbers(planned: int, good: bool) -> None:
    verdict = judge(nas(DEAD, rule=HostRule(planned)), SITE)  # 597 < N < 600; 599 < N < 600

    assert (verdict.how is How.HOST_RULE) == good
    assert good or "960 s of battery - 300 s of shutdown - 15 s HOSTSYNC - 45 s" in str(
        verdict.fault
    )


def test_a_host_rule_without_a_measured_battery_is_refused() -> None:
    site = dataclasses.replace(SITE, batteries={"ups1": Battery(None, 0.8)})

    assert "never measured" in str(judge(nas(DEAD, rule=HostRule(60)), site).fault)


@pytest.mark.parametrize(
    ("supplies", "least", "good"),
    [
        ({"ups1": 1, "ups2": 1}, 1, True),
        ({"ups1": 1, "ups2": 1}, 2, True),
        ({"ups1": 1, "ups2": 1}, 3, False),
        ({"ups1": 1}, 0, False),
        ({"ups1": 0}, 1, False),
        ({}, 1, False),
    ],
)
def test_power_supplies_and_minsupplies_go_together(
    supplies: dict[str, int], least: int, good: bool
) -> None:
    assert (not supply_faults("pve1", supplies, least)) == good
