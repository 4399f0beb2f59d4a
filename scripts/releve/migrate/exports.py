"""What a running QEMU offers over NBD, also one that is too old to tell: 4.0 to 5.1.

From 5.2 on exports have ids and can be listed. Before, `nbd-server-add` offers one by its name, and
nothing tells what is offered: a server that runs and has none of our names is somebody else's.
Source: docs/interop and qapi/block-export.json of QEMU 4.0, 5.1 and 5.2.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.migrate.errors import ForeignError, MigrateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.blocks.qmp import Monitor

GONE_SECONDS = 10
UNKNOWN_COMMAND = "has not been found"  # in QEMU's words


def listed(monitor: Monitor) -> list[str] | None:
    """Return the ids of all exports; None where QEMU is too old to tell."""
    try:
        return [row["id"] for row in monitor.execute("query-block-exports")]
    except MonitorError as error:
        if UNKNOWN_COMMAND in str(error):
            return None
        raise


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports of one QEMU whose names begin with `prefix`: ours."""

    monitor: Monitor
    prefix: str

    def serve(self, socket: str, ours: Iterable[str]) -> None:
        """Start the NBD server on a unix socket, in place of one that an earlier run left.

        `ours` are the names that such a run may have offered. Raises ForeignError when somebody
        else offers something.
        """
        address = {"type": "unix", "data": {"path": socket}}
        found = listed(self.monitor)
        if found is None:
            self._serve_old(address, ours)
            return
        if others := [name for name in found if not name.startswith(self.prefix)]:
            message = f"QEMU exports {others[0]!r} for somebody else (a backup?); wait for its end"
            raise ForeignError(message)
        self.stop()
        self.monitor.execute("nbd-server-start", addr=address, max_connections=0)

    def _serve_old(self, address: dict[str, Any], ours: Iterable[str]) -> None:
        left = [name for name in ours if self._remove_old(name)]
        if left:
            self.stop()
        try:
            self.monitor.execute("nbd-server-start", addr=address)
        except MonitorError as error:
            if "already running" not in str(error):
                raise
            message = (
                "QEMU serves NBD already, and is too old to tell for whom (a backup?): wait for its"
                " end; if there is none, `nbd-server-stop` at its monitor"
            )
            raise ForeignError(message) from error

    def stop(self) -> None:
        """Stop the server; one that does not run is no fault."""
        try:
            self.monitor.execute("nbd-server-stop")
        except MonitorError as error:
            if "not running" not in str(error):
                raise

    def add(self, name: str, node: str, bitmap: str | None) -> None:
        """Offer a node read-only under a name, with one of its bitmaps; an older offer goes."""
        self.remove(name)
        if listed(self.monitor) is None:
            said = {} if bitmap is None else {"bitmap": bitmap}
            self.monitor.execute("nbd-server-add", device=node, name=name, writable=False, **said)
            return
        self.monitor.execute(
            "block-export-add",
            type="nbd",
            id=name,
            node_name=node,
            name=name,
            writable=False,
            bitmaps=[] if bitmap is None else [bitmap],
        )

    def remove(self, name: str) -> None:
        """Offer it no more; returns when QEMU has let go. Raises MigrateError when it does not."""
        deadline = time.monotonic() + GONE_SECONDS
        asked = False
        while (found := listed(self.monitor)) is not None and name in found:
            if not asked:
                self.monitor.execute("block-export-del", id=name, mode="hard")
                asked = True
            elif time.monotonic() > deadline:
                message = f"QEMU does not let go of export {name!r} within {GONE_SECONDS} s"
                raise MigrateError(message)
            else:
                time.sleep(0.05)
        if found is None:
            self._remove_old(name)

    def _remove_old(self, name: str) -> bool:
        """Return whether it was offered."""
        try:
            self.monitor.execute("nbd-server-remove", name=name, mode="hard")
        except MonitorError as error:
            if "not found" in str(error) or "not running" in str(error):
                return False
            raise
        return True

    def clear(self, ours: Iterable[str]) -> None:
        """Remove all exports of ours; `ours` are the names where QEMU cannot list them."""
        for name in [one for one in listed(self.monitor) or ours if one.startswith(self.prefix)]:
            self.remove(name)
