"""Bitmaps are rotated for all disks at once, and only what is ours is cleared."""

from __future__ import annotations

from typing import Any

import pytest

from releve.migrate.errors import ForeignError, MigrateError
from releve.migrate.tracking import Tracking


class Qemu:
    """A monitor that keeps bitmaps, exports and the number of transactions."""

    def __init__(self, bitmaps: dict[str, list[str]], exports: list[str] | None = None) -> None:
        """`bitmaps` by node; a node is the alias with `-node`."""
        self.bitmaps = bitmaps
        self.exports = exports or []
        self.transactions: list[list[dict[str, Any]]] = []

    def execute(self, command: str, /, **arguments: Any) -> Any:
        """Answer as QEMU does."""
        name = "_" + command.replace("-", "_")
        return getattr(self, name)(**arguments)

    def _query_block(self) -> list[dict[str, Any]]:
        return [
            {
                "device": "",
                "qdev": f"/machine/peripheral/{node.removesuffix('-node')}/virtio-backend",
                "inserted": {
                    "node-name": node,
                    "dirty-bitmaps": [{"name": name} for name in names],
                },
            }
            for node, names in self.bitmaps.items()
        ]

    def _query_block_exports(self) -> list[dict[str, str]]:
        return [{"id": name} for name in self.exports]

    def _block_export_del(self, id: str, mode: str) -> None:  # noqa: A002  # QMP's own word
        assert mode == "hard"
        self.exports.remove(id)

    def _block_dirty_bitmap_remove(self, node: str, name: str) -> None:
        self.bitmaps[node].remove(name)

    def _transaction(self, actions: list[dict[str, Any]]) -> None:
        self.transactions.append(actions)
        for action in actions:
            names = self.bitmaps[action["data"]["node"]]
            if action["type"] == "block-dirty-bitmap-add":
                names.append(action["data"]["name"])
            if action["type"] == "block-dirty-bitmap-remove":
                names.remove(action["data"]["name"])


def two_disks(qemu: Qemu) -> Tracking:
    return Tracking(qemu, "aa.1", {"vda": "virtio-disk0", "vdb": "virtio-disk1"})


def test_all_disks_rotate_in_one_transaction_and_only_once() -> None:
    qemu = Qemu({"virtio-disk0-node": ["releve-aa.1-1"], "virtio-disk1-node": ["releve-aa.1-1"]})

    two_disks(qemu).rotate(1)
    two_disks(qemu).rotate(1)

    (actions,) = qemu.transactions
    assert [(action["type"], action["data"]["node"]) for action in actions] == [
        ("block-dirty-bitmap-add", "virtio-disk0-node"),
        ("block-dirty-bitmap-add", "virtio-disk1-node"),
        ("block-dirty-bitmap-disable", "virtio-disk0-node"),
        ("block-dirty-bitmap-disable", "virtio-disk1-node"),
    ]


def test_one_lost_bitmap_stops_the_round() -> None:
    qemu = Qemu({"virtio-disk0-node": ["releve-aa.1-1"], "virtio-disk1-node": []})

    assert not two_disks(qemu).has(1)
    with pytest.raises(MigrateError, match=r"vdb: bitmap releve-aa\.1-1 is lost"):
        two_disks(qemu).rotate(1)
    assert qemu.transactions == []


def test_only_ours_is_cleared() -> None:
    qemu = Qemu(
        {
            "virtio-disk0-node": ["nightly-backup", "releve-99.1-1", "releve-aa.1-3"],
            "virtio-disk1-node": ["releve-aa.1-3"],
        },
        ["backup", "releve-vda"],
    )

    two_disks(qemu).clear(keep=(3,))

    assert qemu.bitmaps == {
        "virtio-disk0-node": ["nightly-backup", "releve-aa.1-3"],
        "virtio-disk1-node": ["releve-aa.1-3"],
    }
    assert qemu.exports == ["backup"]


def test_a_server_that_somebody_else_uses_is_left_alone() -> None:
    qemu = Qemu({"virtio-disk0-node": [], "virtio-disk1-node": []}, ["backup"])

    with pytest.raises(ForeignError, match="exports 'backup' for somebody else"):
        two_disks(qemu).serve("/run/releve/aa/nbd.sock")


def test_a_disk_that_went_away_is_named() -> None:
    qemu = Qemu({"virtio-disk0-node": []})

    with pytest.raises(MigrateError, match="QEMU has no disk vdb"):
        two_disks(qemu).has(1)
