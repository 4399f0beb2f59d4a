"""Dirty bitmaps and exports of a running QEMU, all disks of a guest at the same instant.

Bitmap `releve-RUN.EPOCH-N` records what was written since round N began. Round N adds bitmap N+1
and disables N in one transaction, then moves what N holds. All names carry the run's id, so what
an earlier run left is known and cleared, and what others made is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.migrate.errors import MigrateError
from releve.migrate.exports import Exports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.blocks.qmp import Monitor

PREFIX = "releve-"
GRANULARITY = 65_536  # bytes of a bit: the manifest's block


@dataclass(frozen=True, slots=True)
class Tracking:
    """What one monitor is asked, for the disks `aliases` (name -> QEMU's device alias)."""

    monitor: Monitor
    label: str
    aliases: dict[str, str]

    def bitmap(self, number: int) -> str:
        """Return the name of a bitmap."""
        return f"{PREFIX}{self.label}-{number}"

    def drives(self) -> dict[str, dict[str, Any]]:
        """Return what QEMU has inserted for each disk; raises MigrateError when one is missing."""
        rows = self.monitor.execute("query-block")
        found = {}
        for name, alias in self.aliases.items():
            for row in rows:
                words = {row.get("device"), *str(row.get("qdev", "")).split("/")}
                if alias in words and "inserted" in row:
                    # QEMU 4.0 and 4.1 tell them beside what is inserted, later ones within
                    told = {"dirty-bitmaps": row.get("dirty-bitmaps", [])}
                    found[name] = told | row["inserted"]
        if missing := sorted(self.aliases.keys() - found.keys()):
            message = f"QEMU has no disk {missing[0]} any more; begin anew"
            raise MigrateError(message)
        return found

    def has(self, number: int) -> bool:
        """Say whether every disk still has bitmap `number`."""
        name = self.bitmap(number)
        return all(name in bitmaps_of(drive) for drive in self.drives().values())

    def clear(self, keep: Iterable[int] = ()) -> None:
        """Remove exports and bitmaps of earlier runs and epochs, but `keep` of this one."""
        self._exports.clear(self._names)
        kept = {self.bitmap(number) for number in keep}
        for drive in self.drives().values():
            for name in bitmaps_of(drive):
                # One by one: QEMU removes them in a transaction from 4.2 on only.
                if name.startswith(PREFIX) and name not in kept:
                    self.monitor.execute(
                        "block-dirty-bitmap-remove", node=drive["node-name"], name=name
                    )

    def serve(self, socket: str) -> None:
        """Start QEMU's NBD server on a unix socket, in place of one that an earlier run left."""
        self._exports.serve(socket, self._names)

    def begin(self) -> None:
        """Begin to record writes, on all disks at once: bitmap 1."""
        self.monitor.execute("transaction", actions=[self._add(d, 1) for d in self._nodes()])

    def rotate(self, number: int) -> None:
        """Freeze bitmap `number` and record into the next one; does nothing a second time."""
        drives = self.drives()
        if lost := [n for n, d in drives.items() if self.bitmap(number) not in bitmaps_of(d)]:
            message = f"disk {lost[0]}: bitmap {self.bitmap(number)} is lost; begin anew"
            raise MigrateError(message)
        if all(self.bitmap(number + 1) in bitmaps_of(drive) for drive in drives.values()):
            return
        nodes = self._nodes()
        name = self.bitmap(number)
        freeze = [
            {"type": "block-dirty-bitmap-disable", "data": {"node": node, "name": name}}
            for node in nodes
        ]
        self.monitor.execute(
            "transaction", actions=[*(self._add(node, number + 1) for node in nodes), *freeze]
        )

    def dirty(self) -> int:
        """Return how many bytes the bitmaps that record now hold, of all disks."""
        return sum(
            int(row["count"])
            for drive in self.drives().values()
            for row in drive.get("dirty-bitmaps", [])
            if row.get("name", "").startswith(f"{PREFIX}{self.label}-") and row.get("recording")
        )

    def drop(self, number: int) -> None:
        """Remove a bitmap whose round is done; one that is gone is no fault."""
        for drive in self.drives().values():
            if self.bitmap(number) in bitmaps_of(drive):
                self.monitor.execute(
                    "block-dirty-bitmap-remove",
                    node=drive["node-name"],
                    name=self.bitmap(number),
                )

    def export(self, disk: str, bitmap: int | None = None) -> str:
        """Offer one disk read-only, with a frozen bitmap, and return the export's name."""
        name = f"{PREFIX}{disk}"
        frozen = None if bitmap is None else self.bitmap(bitmap)
        self._exports.add(name, self.drives()[disk]["node-name"], frozen)
        return name

    def unexport(self, disk: str) -> None:
        """Withdraw one disk."""
        self._exports.remove(f"{PREFIX}{disk}")

    def end(self) -> None:
        """Leave QEMU as it was: no export, no bitmap, no server of ours."""
        self.clear()
        self._exports.stop()

    @property
    def _exports(self) -> Exports:
        return Exports(self.monitor, PREFIX)

    @property
    def _names(self) -> list[str]:
        return [f"{PREFIX}{name}" for name in self.aliases]

    def _nodes(self) -> list[str]:
        return [drive["node-name"] for drive in self.drives().values()]

    def _add(self, node: str, number: int) -> dict[str, Any]:
        data = {"node": node, "name": self.bitmap(number), "granularity": GRANULARITY}
        return {"type": "block-dirty-bitmap-add", "data": data}


def bitmaps_of(drive: dict[str, Any]) -> list[str]:
    """Return the names of a drive's bitmaps."""
    return [row["name"] for row in drive.get("dirty-bitmaps", []) if row.get("name")]
