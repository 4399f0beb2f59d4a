"""The lab, brought up once for all scenarios and taken down after the last one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.scenario.stage import ROOT, tell

from releve.lab import guests, images
from releve.lab.run import forget_evidence
from releve.lab.topology import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

# One lab serves all: what only looks comes first, then the story, then what needs its end. A class
# may have a place of its own.
ORDER = (
    "test_lab",
    "test_survey",
    "test_town_hall.TestProvision",
    "test_town_hall.TestMigrate",
    "test_way_back",
    "test_migrate_crash",
    "test_town_hall",
    "test_prepare",
    "test_sources_libvirt",
    "test_sources_pve",
    "test_sources_files",
    "test_retire",
    "test_power",
    "test_drift",
    "test_power_policy",
    "test_sweep",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the scenarios in their order, after everything else."""

    def place(item: pytest.Item) -> int:
        if item.path.parent.name != "scenario":
            return 0
        whole = item.path.stem
        in_class = getattr(item, "cls", None)
        part = f"{whole}.{in_class.__name__}" if in_class else whole
        return next((ORDER.index(name) + 1 for name in (part, whole) if name in ORDER), 0)

    items.sort(key=place)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Give the lab with its guests at work on the old host."""
    if os.geteuid() != 0:
        pytest.skip("the lab's containers need root: call scripts/test, which asks sudo")
    lab = Lab.of(ROOT)
    with lab.exclusive():
        images.ensure(tell)
        guests.ensure(lab.town, tell)
        forget_evidence(lab)
        lab.up(tell)
        try:
            yield lab
        finally:
            lab.down()
