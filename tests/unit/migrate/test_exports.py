"""What a QEMU of 4.0 to 5.1 offers, which cannot list it, and what a newer one does."""

from __future__ import annotations

from typing import Any

import pytest

from releve.blocks.errors import MonitorError
from releve.migrate.errors import ForeignError
from releve.migrate.tracking import Tracking

NAMES = ["releve-vda", "releve-vdb"]


class Old:
    """A monitor with the commands of QEMU 4.0, their arguments and its words; no more."""

    def __init__(self) -> None:
        self.socket = ""
        self.exports: dict[str, dict[str, Any]] = {}
        self.bitmaps: dict[str, list[str]] = {"node-vda": [], "node-vdb": []}

    def execute(self, command: str, /, **arguments: Any) -> Any:
        """Answer as QEMU does."""
        method = getattr(self, "_" + command.replace("-", "_"), None)
        if method is None:
            raise MonitorError(f"{command}: The command {command} has not been found")
        try:
            return method(**arguments)
        except TypeError as error:
            raise MonitorError(f"{command}: Parameter is unexpected ({error})") from error

    def _nbd_server_start(self, addr: dict[str, Any]) -> None:
        if self.socket:
            raise MonitorError("nbd-server-start: NBD server already running")
        self.socket = addr["data"]["path"]

    def _nbd_server_stop(self) -> None:
        if not self.socket:
            raise MonitorError("nbd-server-stop: NBD server not running")
        self.socket, self.exports = "", {}

    def _nbd_server_add(
        self, device: str, name: str, writable: bool = False, bitmap: str | None = None
    ) -> None:
        if not self.socket:
            raise MonitorError("nbd-server-add: NBD server not running")
        if name in self.exports:
            raise MonitorError(f"nbd-server-add: NBD server already has export named '{name}'")
        assert not writable
        assert bitmap is None or bitmap in self.bitmaps[device]
        self.exports[name] = {"device": device, "bitmap": bitmap}

    def _nbd_server_remove(self, name: str, mode: str = "safe") -> None:
        if not self.socket:
            raise MonitorError("nbd-server-remove: NBD server not running")
        if name not in self.exports:
            raise MonitorError(f"nbd-server-remove: Export '{name}' is not found")
        assert mode == "hard"
        del self.exports[name]

    def _query_block(self) -> list[dict[str, Any]]:
        return [
            {
                "device": f"drive-{node}",
                "dirty-bitmaps": [{"name": name, "count": 1, "recording": True} for name in names],
                "inserted": {"node-name": node},
            }
            for node, names in self.bitmaps.items()
        ]

    def _block_dirty_bitmap_remove(self, node: str, name: str) -> None:
        self.bitmaps[node].remove(name)

    def _transaction(self, actions: list[dict[str, Any]]) -> None:
        for action in actions:
            if action["type"] not in {"block-dirty-bitmap-add", "block-dirty-bitmap-disable"}:
                raise MonitorError(f"transaction: Invalid parameter '{action['type']}'")
            if action["type"] == "block-dirty-bitmap-add":
                self.bitmaps[action["data"]["node"]].append(action["data"]["name"])


def two_disks(qemu: Old) -> Tracking:
    return Tracking(qemu, "aa.1", {"vda": "drive-node-vda", "vdb": "drive-node-vdb"})


def test_an_old_qemu_serves_disks_with_the_bitmap_of_a_round() -> None:
    qemu = Old()
    tracking = two_disks(qemu)
    tracking.clear()
    tracking.serve("/run/x")
    tracking.begin()
    assert tracking.has(1)
    assert tracking.dirty() == 2
    assert tracking.export("vda") == "releve-vda"
    tracking.unexport("vda")
    tracking.rotate(1)

    tracking.export("vda", 1)
    tracking.export("vda", 1)

    assert qemu.exports == {"releve-vda": {"device": "node-vda", "bitmap": "releve-aa.1-1"}}
    tracking.end()
    assert (qemu.socket, qemu.exports) == ("", {})
    assert qemu.bitmaps == {"node-vda": [], "node-vdb": []}


def test_the_server_that_a_killed_run_left_is_made_anew() -> None:
    qemu = Old()
    tracking = two_disks(qemu)
    tracking.serve("/run/old")
    tracking.begin()
    tracking.export("vdb")

    two_disks(qemu).serve("/run/new")

    assert (qemu.socket, qemu.exports) == ("/run/new", {})


def test_a_server_of_somebody_else_is_left_alone() -> None:
    qemu = Old()
    qemu.execute("nbd-server-start", addr={"type": "unix", "data": {"path": "/run/backup"}})
    qemu.execute("nbd-server-add", device="node-vda", name="backup")

    with pytest.raises(ForeignError, match="serves NBD already"):
        two_disks(qemu).serve("/run/x")

    assert (qemu.socket, list(qemu.exports)) == ("/run/backup", ["backup"])
