"""Which level is meant, and where it may run."""

from __future__ import annotations

import pytest

from releve.drills.power_levels import LEVELS, level_of
from releve.errors import InputError, RefusedError


def test_the_whole_cut_in_the_lab_and_paper_elsewhere() -> None:
    assert level_of(None, in_lab=True).number == 3
    assert level_of(None, in_lab=False).number == 0


def test_the_site_is_never_cut_outside_of_the_lab() -> None:
    with pytest.raises(RefusedError, match="for the lab alone"):
        level_of(3, in_lab=False)
    assert level_of(4, in_lab=False).number == 4


@pytest.mark.parametrize("number", [-1, 5])
def test_a_number_that_is_no_level(number: int) -> None:
    with pytest.raises(InputError, match="0 to 4"):
        level_of(number, in_lab=True)


def test_each_level_has_evidence_of_its_own() -> None:
    assert [one.number for one in LEVELS] == [0, 1, 2, 3, 4]
    assert len({one.evidence for one in LEVELS}) == 5
    assert level_of(3, in_lab=True).evidence == "power"
