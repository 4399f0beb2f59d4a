"""What the vault's roles are told: from the town file, and the key that the workstation trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from releve.town import load_town
from releve.town.inputs import vault

LAB = Path(__file__).parents[3] / "inventory/lab/town.yml"


def inputs(tmp_path: Path, known_hosts: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """Return the inputs of the lab's town with this known_hosts file."""
    words = yaml.safe_load(LAB.read_text()) | changes
    (tmp_path / "known").write_text(known_hosts)
    words["ssh"] = {"known_hosts_file": "known"}
    (tmp_path / "town.yml").write_text(yaml.safe_dump(words))
    return vault.inputs(load_town(tmp_path))


def test_a_sender_knows_its_guests_and_the_vault(tmp_path: Path) -> None:
    lines = (
        "198.51.100.1 ssh-ed25519 AAAA\n198.51.100.13 ssh-rsa CCCC\n198.51.100.13 ssh-ed25519 BB\n"
    )
    told = inputs(tmp_path, lines)
    assert told["vault"] == {"vault_target_path": "/srv/vault", "vault_target_lock_days": 30}
    sender = told["pve1"]
    assert sender["vault_sender_vault"] == "198.51.100.13"
    assert sender["vault_sender_host_key"] == "ssh-ed25519 BB"
    assert sender["vault_sender_guests"][0] == {
        "name": "compta",
        "vmid": 101,
        "disks": {"virtio0": "vda"},
        "witness_address": "198.51.100.21",
        "witness_port": 7000,
    }


def test_a_key_that_nobody_trusts_is_not_made_up(tmp_path: Path) -> None:
    assert (
        "vault_sender_host_key" not in inputs(tmp_path, "198.51.100.1 ssh-ed25519 AAAA\n")["pve1"]
    )


def test_a_town_without_a_vault_needs_nothing(tmp_path: Path) -> None:
    assert inputs(tmp_path, "", vault=None) == {}
