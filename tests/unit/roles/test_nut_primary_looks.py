"""Every primary looks again between two deploys; for guests only where there are some."""

from __future__ import annotations

import pytest
from tests.unit.power.test_stock import PRIMARY
from tests.worlds.role import RoleRun

ALWAYS = {"releve-budget@.service", "releve-budget-night.timer", "releve-budget-on-battery.path"}
GUESTS = {"releve-budget-guests.timer"}


@pytest.mark.parametrize(
    ("unit", "looks"), [("", ALWAYS), ("pve-guests.service enabled", ALWAYS | GUESTS)]
)
def test_a_primary_looks_whether_the_shutdown_still_fits(unit: str, looks: set[str]) -> None:
    variables = {**PRIMARY, "nut_primary_stop_seconds": 60}
    files = RoleRun("nut_primary", variables, {"__nut_primary_guests_unit": {"stdout": unit}}).run()

    names = {one.path.rpartition("/")[2] for one in files}

    assert {name for name in names if name.startswith("releve-budget")} == looks
