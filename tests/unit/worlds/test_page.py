"""The page of the scenarios says what the catalogue expects."""

from __future__ import annotations

from tests.worlds.catalogue import ALL
from tests.worlds.page import FILE, render


def test_the_page_is_of_this_catalogue() -> None:
    stale = "docs/explanation/power-scenarios.md is stale: python -m tests.worlds --page"
    assert FILE.read_text(encoding="utf-8") == render(), stale


def test_every_scenario_has_a_name_of_its_own_and_an_end_in_stock() -> None:
    names = [scenario.id for scenario in ALL]

    assert len(names) == len(set(names))
    assert all("stock" in scenario.expected for scenario in ALL)


def test_stock_cuts_nobody_but_by_a_cause_on_the_list() -> None:
    cut = {one.id for one in ALL if one.expected.get("stock") in {"cut", "dark"}}

    assert cut == {"10", "D2", "L10", "V2"}  # each is a cause on the page's list
