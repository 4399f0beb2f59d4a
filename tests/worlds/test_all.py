"""Every scenario in every mode: `scripts/test power`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.worlds.catalogue import ALL
from tests.worlds.runner import Result, job_of, run_all, verdict_kept

if TYPE_CHECKING:
    from tests.worlds.site import Mode

pytestmark = [pytest.mark.lab, pytest.mark.root]
PAIRS = {f"{one.id}-{mode}": (one, mode) for one in ALL for mode in one.expected}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Run all of them, as many at once as the machine carries."""
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")
    return run_all(job_of(scenario, mode) for scenario, mode in PAIRS.values())


@pytest.mark.parametrize("name", PAIRS)
def test_a_scenario_ends_as_expected(name: str, results: dict[str, Result]) -> None:
    scenario, mode = PAIRS[name]
    seen, wrong = verdict_kept(scenario, mode, results[name])

    assert not wrong, (seen, wrong, f"build/worlds/{name}/timeline.json")


def test_the_modes_are_all_there() -> None:
    modes: set[Mode] = {mode for _scenario, mode in PAIRS.values()}

    assert modes == {"plain", "stock", "policy"}
