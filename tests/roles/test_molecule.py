"""Every role: predicts, converges, changes nothing the second time, and holds what it promises."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from releve.lab import images, molecule
from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
SCENARIOS = molecule.scenarios(ROOT)


def tell(text: str) -> None:
    """Progress goes to stderr, which pytest shows when a scenario fails."""
    sys.stderr.write(f"{text}\n")


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> dict[tuple[str, str], molecule.Result]:
    """Run the scenarios that were asked for, two at a time, and return how each ended."""
    if os.geteuid() != 0:
        pytest.skip("the lab's containers need root: call scripts/test, which asks sudo")
    asked = {role for item in request.session.items if (role := _role_of(item))}
    lab = Lab.of(ROOT)
    with lab.exclusive():
        lab.down()
        images.ensure(tell)
        try:
            ended = molecule.test(lab, sorted(asked), lambda one: tell(f"{one.role}: {one.code}"))
        finally:
            lab.down()
    return {(one.role, one.scenario): one for one in ended}


def _role_of(item: pytest.Item) -> str | None:
    """Return the role that a collected test asks for, None for tests of other kinds."""
    if isinstance(item, pytest.Function) and item.originalname == "test_role":
        return str(item.callspec.params["role"])
    return None


@pytest.mark.parametrize(("role", "scenario"), SCENARIOS)
def test_role(results: dict[tuple[str, str], molecule.Result], role: str, scenario: str) -> None:
    result = results[role, scenario]
    tail = result.log.read_text(errors="replace").splitlines()[-60:]
    assert result.passed, f"Molecule ended with {result.code}; {result.log}:\n" + "\n".join(tail)


def test_every_role_has_a_scenario() -> None:
    roles = {path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml")}

    assert roles == {role for role, _scenario in SCENARIOS}
