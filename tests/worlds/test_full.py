"""A few power cuts end on full hosts as in the light worlds: part of `scripts/test power`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.worlds import full_run
from tests.worlds.runner import verdict_kept

if TYPE_CHECKING:
    from tests.worlds.runner import Result
    from tests.worlds.scenarios import Scenario
    from tests.worlds.site import Mode

pytestmark = [pytest.mark.lab, pytest.mark.root]
CHOSEN = {f"{one.id}-{mode}": (one, mode) for mode in full_run.MODES for one in full_run.CHOSEN}
REBOOT = "14"


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, Mode], Result]:
    """Run each mode on a site of its own."""
    if os.geteuid() != 0:
        pytest.skip("the hosts' containers need root: call scripts/test, which asks sudo")
    return full_run.run_all(full_run.MODES)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cut_ends_as_in_the_light_world(
    name: str, results: dict[tuple[str, Mode], Result]
) -> None:
    scenario: Scenario
    scenario, mode = CHOSEN[name]
    seen, wrong = verdict_kept(scenario, mode, results[scenario.id, mode], "-full")

    assert not wrong, (seen, wrong, f"build/worlds/full/{name}/timeline.json")


@pytest.mark.parametrize("mode", full_run.MODES)
def test_a_reboot_after_a_cut_cuts_nothing(
    mode: Mode, results: dict[tuple[str, Mode], Result]
) -> None:
    outcome = results[REBOOT, mode].outcome
    assert outcome is not None
    rebooted = outcome.shutdowns["pve1"][-1]

    assert len(outcome.boots["pve1"]) == 2  # after the cut, and after the reboot
    assert not [cut for cut in outcome.commands if cut.at > rebooted]
    assert not [at for at in outcome.off if at > rebooted]
