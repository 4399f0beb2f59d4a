"""One point in time of a running guest: QEMU keeps the old blocks aside while we read.

For each disk a backup job of kind `none` copies a block to a temporary qcow2 (the fleece) before
the guest overwrites it; the fleece, backed by the disk itself, is exported read-only. All jobs
and the bitmaps of the next copy begin in one transaction, so the disks belong together. The
monitor is PVE's too: every visit is short. All names carry a prefix, so that what a killed run
left is found and cleared by the next one.

A job that cannot write its fleece makes the guest's write fail: the free space is watched.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from releve.blocks.errors import MonitorError, SourceError
from releve.blocks.extents import ALLOCATION, BITMAP
from releve.blocks.nbd import changed_blocks, uri
from releve.blocks.qmp import Qmp
from releve.vault.run import run
from releve.vault.wire import BLOCK, DiskSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

PREFIX = "vaultcopy-"
GRANULARITY = 65_536
GONE_SECONDS = 30
MONITOR_SECONDS = 20
"""PVE's own visits are short; so long we ask again."""


class Monitor:
    """QEMU's monitor, visited for one command at a time, again while somebody else is in."""

    def __init__(self, path: Path) -> None:
        """Keep the path of its socket."""
        self.path = path

    def __call__(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON
        """Run one command; raises MonitorError."""
        end = time.monotonic() + MONITOR_SECONDS
        while True:
            try:
                qmp = Qmp(str(self.path), timeout=3)
            except MonitorError:
                if time.monotonic() > end or not self.path.exists():
                    raise
                time.sleep(0.1)
                continue
            with qmp:
                return qmp.execute(command, **arguments)


@dataclass(frozen=True, slots=True)
class NbdDisk:
    """A disk at a point in time behind an NBD export; `confirm` raises when it no longer holds."""

    disk: DiskSize
    address: str
    bitmap: str | None
    confirm: Callable[[], None]

    def everything(self) -> Iterator[tuple[int, int, memoryview | None]]:
        """Yield the whole disk, in order."""
        return self._checked(changed_blocks(self.address, ALLOCATION, BLOCK))

    def changes(self) -> Iterator[tuple[int, int, memoryview | None]] | None:
        """Yield what changed since the last copy; None when no bitmap tells."""
        if self.bitmap is None:
            return None
        return self._checked(changed_blocks(self.address, f"{BITMAP}{self.bitmap}", BLOCK))

    def _checked(self, changes: Iterator[Any]) -> Iterator[tuple[int, int, memoryview | None]]:
        for number, change in enumerate(changes):
            if number % 64 == 0:
                self.confirm()
            yield change


@dataclass(slots=True)
class Freeze:
    """A running guest's disks, frozen from `with` to its end.

    `nodes` maps a disk's name to QEMU's node; `since` is the bitmap of the last copy, or None;
    `label` names what this run makes. `reserve` is the free space, in bytes, that must stay.
    """

    monitor: Monitor
    folder: Path
    nodes: dict[str, str]
    since: str | None
    label: str
    reserve: int
    disks: list[NbdDisk] = field(default_factory=list)

    @property
    def bitmap(self) -> str:
        """The bitmap that records from this copy on."""
        return f"{PREFIX}{self.label}"

    def __enter__(self) -> Self:
        """Freeze; raises MonitorError or SourceError, and leaves nothing behind then."""
        try:
            self._freeze()
        except BaseException:
            clear(self.monitor, self.folder, keep=None)
            raise
        return self

    def _freeze(self) -> None:
        sizes = {}
        nodes = {row["node-name"]: row for row in self.monitor("query-named-block-nodes")}
        for disk, node in self.nodes.items():
            if node not in nodes:
                message = f"QEMU has no node {node}: is this a guest of Proxmox VE 9?"
                raise SourceError(message)
            sizes[disk] = int(nodes[node]["image"]["virtual-size"])
        self._look_at_space()
        since = self.since if self._records(nodes) else None
        for disk, node in self.nodes.items():
            self._add_fleece(disk, node, sizes[disk])
        self.monitor("transaction", actions=self._actions(since))
        socket = self.folder / "nbd.sock"
        serve(self.monitor, socket)
        for disk, node in self.nodes.items():
            name = f"{PREFIX}{disk}"
            bitmaps = [{"node": node, "name": since}] if since else []
            self.monitor(
                "block-export-add",
                type="nbd",
                id=name,
                node_name=name,
                name=name,
                writable=False,
                bitmaps=bitmaps,
            )
            address = uri(str(socket), name)
            self.disks.append(NbdDisk(DiskSize(disk, sizes[disk]), address, since, self.confirm))

    def _records(self, nodes: dict[str, Any]) -> bool:
        """Whether the last copy's bitmap has recorded ever since, on every disk."""
        return all(
            any(
                row["name"] == self.since and row["recording"] and not row.get("inconsistent")
                for row in nodes[node].get("dirty-bitmaps", [])
            )
            for node in self.nodes.values()
        )

    def _add_fleece(self, disk: str, node: str, size: int) -> None:
        file = self.folder / f"fleece-{disk}.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), str(size)], seconds=60)
        self.monitor(
            "blockdev-add",
            driver="qcow2",
            node_name=f"{PREFIX}{disk}",
            file={"driver": "file", "filename": str(file)},
            backing=node,
        )

    def _actions(self, since: str | None) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = []
        for disk, node in self.nodes.items():
            at = {"node": node}
            if since:
                actions.append({"type": "block-dirty-bitmap-disable", "data": at | {"name": since}})
            add = at | {"name": self.bitmap, "granularity": GRANULARITY}
            actions.append({"type": "block-dirty-bitmap-add", "data": add})
            name = f"{PREFIX}{disk}"
            job = {"job-id": name, "device": node, "target": name, "sync": "none"}
            actions.append({"type": "blockdev-backup", "data": job})
        return actions

    def confirm(self) -> None:
        """Raise SourceError when the point in time is lost, or the fleece grows too big."""
        self._look_at_space()
        jobs = {row["id"]: row for row in self.monitor("query-jobs")}
        for disk in self.nodes:
            job = jobs.get(f"{PREFIX}{disk}")
            if job is None or job["status"] not in {"running", "ready"}:
                message = f"disk {disk}: QEMU has ended the freeze ({job or 'no job'})"
                raise SourceError(message)

    def _look_at_space(self) -> None:
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize < self.reserve:
            message = f"{self.folder}: less than {self.reserve} bytes are free for the guest's"
            raise SourceError(f"{message} writes during a copy: make room")

    def keep(self) -> None:
        """The copy is safe: from now on this run's bitmap is the one to continue from."""
        clear(self.monitor, self.folder, keep=self.bitmap)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Thaw; a copy that failed leaves no bitmap, so that the next one compares everything."""
        if error is not None:
            clear(self.monitor, self.folder, keep=None)


def clear(monitor: Monitor, folder: Path, keep: str | None) -> None:
    """Remove all that a copy makes in QEMU and in `folder`, but a recording bitmap `keep`."""
    if monitor.path.exists():
        _clear_exports(monitor)
        _clear_jobs(monitor)
        rows = monitor("query-named-block-nodes")
        for name in {row["node-name"] for row in rows}:
            if name.startswith(PREFIX):
                monitor("blockdev-del", node_name=name)
        for node, name in _bitmaps(rows, keep):
            monitor("block-dirty-bitmap-remove", node=node, name=name)
    for file in folder.glob("fleece-*.qcow2"):
        file.unlink()


def serve(monitor: Monitor, socket: Path) -> None:
    """Start QEMU's one NBD server; raises SourceError when somebody else exports by it."""
    if others := [row["id"] for row in monitor("query-block-exports")]:
        message = f"QEMU exports {others[0]!r} for somebody else: try again later"
        raise SourceError(message)
    _stop_server(monitor)
    socket.unlink(missing_ok=True)
    address = {"type": "unix", "data": {"path": str(socket)}}
    monitor("nbd-server-start", addr=address, max_connections=0)


def _stop_server(monitor: Monitor) -> None:
    try:
        monitor("nbd-server-stop")
    except MonitorError as error:
        if "not running" not in str(error):
            raise


def _clear_exports(monitor: Monitor) -> None:
    def ours() -> list[str]:
        rows = monitor("query-block-exports")
        return [row["id"] for row in rows if row["id"].startswith(PREFIX)]

    left = ours()
    if not left:
        return
    for name in left:
        monitor("block-export-del", id=name, mode="hard")
    _await_none(ours, "export")
    if not monitor("query-block-exports"):
        _stop_server(monitor)


def _clear_jobs(monitor: Monitor) -> None:
    def ours() -> list[str]:
        return [row["id"] for row in monitor("query-jobs") if row["id"].startswith(PREFIX)]

    for name in ours():
        monitor("block-job-cancel", device=name, force=True)
    _await_none(ours, "job")


def _await_none(names: Callable[[], list[str]], what: str) -> None:
    end = time.monotonic() + GONE_SECONDS
    while left := names():
        if time.monotonic() > end:
            message = f"QEMU does not let go of {what} {left[0]} within {GONE_SECONDS} s"
            raise MonitorError(message)
        time.sleep(0.05)


def _bitmaps(rows: list[dict[str, Any]], keep: str | None) -> list[tuple[str, str]]:
    """Return (node, name) of our bitmaps that must go: all but `keep`, if that records."""
    return [
        (row["node-name"], one["name"])
        for row in rows
        for one in row.get("dirty-bitmaps", [])
        if one.get("name", "").startswith(PREFIX) and not (one["name"] == keep and one["recording"])
    ]
