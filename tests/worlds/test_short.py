"""A few power cuts in light worlds, all at once: part of every whole run of the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.worlds.catalogue import ALL
from tests.worlds.runner import Result, job_of, run_all, verdict

if TYPE_CHECKING:
    from tests.worlds.scenarios import Scenario
    from tests.worlds.site import Mode

pytestmark = [pytest.mark.lab, pytest.mark.root]
SHORT = ("1", "2", "3", "5", "6", "9", "12", "18", "20", "V3-B", "V4-B", "V5", "P3")
BY_ID = {scenario.id: scenario for scenario in ALL}
CHOSEN: dict[str, tuple[Scenario, Mode]] = {
    **{f"{name}-stock": (BY_ID[name], "stock") for name in SHORT},
    "1-policy": (BY_ID["1"], "policy"),
}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Run all of them at once."""
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")
    return run_all(job_of(*pair) for pair in CHOSEN.values())


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cut_ends_as_expected(name: str, results: dict[str, Result]) -> None:
    seen, wrong = verdict(*CHOSEN[name], results[name])

    assert not wrong, (seen, wrong, f"build/worlds/{name}/timeline.json")
