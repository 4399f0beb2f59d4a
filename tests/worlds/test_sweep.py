"""No moment at which the mains come back leaves a site half up, dark, or cut while running."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.worlds import fuzz, sweep
from tests.worlds.runner import run_all

if TYPE_CHECKING:
    from tests.worlds.site import Mode

pytestmark = [pytest.mark.lab, pytest.mark.root]
MODES: tuple[Mode, ...] = ("stock", "policy")


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")


@pytest.mark.parametrize("mode", MODES)
def test_the_mains_may_return_at_any_moment(mode: Mode) -> None:
    results = run_all(sweep.jobs(mode))

    assert sweep.bad(results.values()) == []


@pytest.mark.parametrize("mode", MODES)
def test_random_timelines_end_well_or_by_a_cause_on_the_list(mode: Mode) -> None:
    results = run_all(fuzz.job_of(seed, mode) for seed in fuzz.SEEDS)
    faults, excused = fuzz.bad(results.values())
    print("\n".join(excused))  # noqa: T201  # evidence, shown with -s and where it fails

    assert faults == []
