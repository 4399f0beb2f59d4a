"""Molecule: each role in check mode, for real, a second time without a change, and verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from releve.lab import images, molecule
from releve.lab.topology import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
SCENARIOS = molecule.scenarios(ROOT)
TAIL_LINES = 40


@pytest.fixture(scope="module")
def results() -> Iterator[dict[tuple[str, str], molecule.Result]]:
    """Run all scenarios, two at a time, and give how each ended."""
    if os.geteuid() != 0:
        pytest.skip("the lab's containers need root: call scripts/test, which asks sudo")
    lab = Lab.of(ROOT)
    with lab.exclusive():
        images.ensure(lambda _text: None)
        try:
            done = molecule.test(lab, [], lambda _result: None)
            yield {(result.role, result.scenario): result for result in done}
        finally:
            lab.down()


def test_every_role_has_a_scenario() -> None:
    roles = {path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml")}

    assert roles == {role for role, _scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids="-".join)
def test_a_scenario_holds(
    results: dict[tuple[str, str], molecule.Result], scenario: tuple[str, str]
) -> None:
    result = results[scenario]

    said = result.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    assert result.code == 0, "\n".join(said)
