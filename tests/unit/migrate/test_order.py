"""Whoever is needed moves first."""

from __future__ import annotations

from pathlib import Path

import pytest

from releve.errors import InputError
from releve.migrate.plan import order
from releve.town import load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab"


@pytest.mark.parametrize("named", [[], ["dossiers", "compta"]])
def test_the_needed_guest_comes_first(named: list[str]) -> None:
    assert order(load_town(LAB), named) == ["compta", "dossiers"]


def test_a_need_that_is_not_moved_now_does_not_matter() -> None:
    assert order(load_town(LAB), ["dossiers"]) == ["dossiers"]


def test_an_unknown_guest_is_named() -> None:
    with pytest.raises(InputError, match="no guest 'compto'"):
        order(load_town(LAB), ["compto"])
