"""What a run saw is shown; what nothing stands behind any more is not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.worlds import page, seen
from tests.worlds.scenarios import TOWN, Scenario, changed, mains

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worlds.scenarios import End

CUT = Scenario("X", "the mains go", mains(2, 44), 64, {"stock": "early", "policy": "clean"})


@pytest.fixture(autouse=True)
def _own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "FILE", tmp_path / "seen.json")


def ran(scenario: Scenario, end: End, *wrong: str) -> None:
    seen.keep({(scenario.id, "stock"): seen.seen_now(scenario, "stock", end, list(wrong))})


def cells(scenario: Scenario) -> list[str]:
    row = next(line for line in page.table([scenario]).splitlines() if line.startswith("| X "))
    return [cell.strip() for cell in row.split("|")[3:-1]]


def test_only_what_was_run_is_shown() -> None:
    assert cells(CUT) == ["not run", "not run"]

    ran(CUT, "clean")

    assert cells(CUT) == ["clean, all back, but too early", "not run"]


def test_a_run_of_another_scenario_leaves_the_others() -> None:
    ran(CUT, "clean")
    ran(dataclasses.replace(CUT, id="Y"), "dark", "dark instead of early")

    assert cells(CUT)[0] == "clean, all back, but too early"


def test_a_bad_end_is_shown_beside_what_it_should_be() -> None:
    ran(CUT, "cut", "cut instead of early")

    assert cells(CUT)[0] == "**cut while running**; wrong: cut instead of early"


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(CUT, events=mains(2, 45)),
        dataclasses.replace(CUT, seconds=65),
        dataclasses.replace(CUT, site=changed(capacity=50)),
        dataclasses.replace(CUT, sites={"stock": changed(TOWN, low_battery=1)}),
    ],
)
def test_a_scenario_that_has_changed_since_counts_as_not_run(other: Scenario) -> None:
    ran(CUT, "clean")

    assert cells(other)[0] == "not run"
