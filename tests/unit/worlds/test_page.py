"""The page of the scenarios says what the catalogue expects."""

from __future__ import annotations

from tests.worlds.catalogue import ALL
from tests.worlds.page import FILE, render


def test_the_page_is_of_this_catalogue() -> None:
    stale = "docs/explanation/power-scenarios.md is stale: python -m tests.worlds --page"
    assert FILE.read_text(encoding="utf-8") == render(), stale


def test_every_scenario_has_a_name_of_its_own_and_an_end_where_we_guard() -> None:
    names = [scenario.id for scenario in ALL]

    assert len(names) == len(set(names))
    assert all("policy" in scenario.expected for scenario in ALL)
    assert all("stock" in one.expected for one in ALL if not one.id.startswith("16"))  # tiers


def test_nobody_is_cut_but_by_a_cause_on_the_list() -> None:
    cut = {
        mode: {one.id for one in ALL if one.expected.get(mode) in {"cut", "dark"}}
        for mode in ("stock", "policy")
    }

    # Each is a cause on the page's list; V2-B is V2 with a voltage that only our driver looks at.
    assert cut["policy"] == {"10", "D2", "L10", "V2"}
    assert cut["stock"] == {*cut["policy"], "V2-B"}
