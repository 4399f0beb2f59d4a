"""A few power cuts in light worlds, all at once: part of every whole run of the tests."""

from __future__ import annotations

import os

import pytest
from tests.worlds.catalogue import ALL
from tests.worlds.runner import Result, job_of, run_all, verdict

pytestmark = [pytest.mark.lab, pytest.mark.root]
SHORT = ("1", "2", "3", "5", "6", "9", "12", "18", "20", "V3-B", "V5")
CHOSEN = {scenario.id: scenario for scenario in ALL if scenario.id in SHORT}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Run all of them at once."""
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")
    return run_all(job_of(scenario, "stock") for scenario in CHOSEN.values())


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cut_ends_as_expected(name: str, results: dict[str, Result]) -> None:
    seen, wrong = verdict(CHOSEN[name], "stock", results[f"{name}-stock"])

    assert not wrong, (seen, wrong, f"build/worlds/{name}-stock/timeline.json")
