"""What a started guest tells of itself is compared with what it told before its power-off."""

from __future__ import annotations

from typing import Any

import pytest

from releve.migrate.proof import unclean_at_most
from releve.witness import Status


@pytest.mark.parametrize(
    ("off", "boots", "most"),
    [
        ({"unclean": 1, "boots": 4}, 5, 1),
        ({"unclean": 1, "boots": 4}, 7, 3),
        ({"unclean": 1}, 5, 1),
        ({}, 2, 0),
    ],
    ids=["first boot", "the node lost power twice since", "nothing told of boots", "nothing told"],
)
def test_a_power_cut_of_the_node_is_no_reason_to_go_back(
    off: dict[str, Any], boots: int, most: int
) -> None:
    assert unclean_at_most(off, Status(9, "s", "whole", 10, boots, 0, 1)) == most
