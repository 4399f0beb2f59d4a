"""How Ansible reaches the hosts of a town."""

from __future__ import annotations

import shutil
from pathlib import Path

from releve.town import load_town
from releve.town.ansible_vars import inventory_of

LAB = Path(__file__).parents[3] / "inventory" / "lab"


def test_two_towns_with_the_same_addresses_share_no_connection(tmp_path: Path) -> None:
    shutil.copy(LAB / "town.yml", tmp_path)

    folders = {
        inventory_of(load_town(folder))["nodes"]["pve1"]["ansible_control_path_dir"]
        for folder in (LAB, tmp_path)
    }

    assert len(folders) == 2
