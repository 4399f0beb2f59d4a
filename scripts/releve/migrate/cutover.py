"""The cutover: real power-off, last delta, proof, fence. Until the proof, the way back is open."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.migrate import faults
from releve.migrate.errors import MigrateError, PowerButtonError, WorkerError
from releve.migrate.fence import Fence
from releve.migrate.firmware import carry
from releve.migrate.hold import Hold
from releve.migrate.listener import Listener
from releve.pve.client import PveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.blocks.qmp import Qmp
    from releve.migrate.migration import Migration
    from releve.migrate.source import SourceGuest
    from releve.migrate.tracking import Tracking

POLL_SECONDS = 0.05


class Cutover:
    """Takes one guest from running at its source to off, moved, verified and fenced."""

    def __init__(self, migration: Migration, guest: SourceGuest) -> None:
        """`guest` is as its host has it now."""
        self.migration, self.guest = migration, guest
        self.record = migration.record

    def do(self) -> None:
        """Do it all. Whatever fails before the fence, the guest goes on at its source."""
        migration = self.migration
        fence = Fence.around(migration.old, self.guest)
        self.record.note("cutover-began", fence=fence.file, autostart=fence.autostart)
        migration.say(f"{self.guest.name}: cutover")
        try:
            with Hold(
                migration.old, self.guest.name, self.guest.monitor, migration.tunnel.folder
            ) as hold:
                self._power_off_and_prove(hold)
                hold.release("done")
        except PowerButtonError:
            self.record.check("power-off", passed=False, note="guest-ignores-power-button")
            self.record.note("cutover-aborted", why="guest-ignores-power-button")
            raise
        except (CommandError, MigrateError, MonitorError, PveError) as error:
            self.record.note("source-returned", why=str(error))
            raise MigrateError(f"{error}; {self.guest.name} goes on at its source") from error
        self.record.note("verified")
        fence.close()
        faults.start_source_again(fence)
        self.record.note("fenced", file=fence.file)
        migration.say(f"{self.guest.name}: verified and fenced")

    def _power_off_and_prove(self, hold: Hold) -> None:
        with hold.monitor() as qmp:
            self._power_off(qmp)
            try:
                faults.die_after_power_off()
                self._last_delta(qmp)
                self._carry_firmware()
                faults.flip_target_byte(self.migration.node, self.migration.paths().values())
                self._prove(qmp)
            finally:
                qmp.execute("quit")

    def _power_off(self, qmp: Qmp) -> None:
        seconds = self.migration.guest.stop_seconds
        with Listener(self.migration.guest) as listener:
            if qmp.execute("query-status")["status"] == "running":
                self.record.note("power-button")
                qmp.execute("system_powerdown")
            deadline = time.monotonic() + seconds
            while qmp.execute("query-status")["status"] != "shutdown":
                if time.monotonic() > deadline:
                    message = (
                        f"{self.guest.name}: guest-ignores-power-button: not off {seconds} s after"
                        " the power button; it goes on at its source. Look at its console"
                    )
                    raise PowerButtonError(message)
                time.sleep(POLL_SECONDS)
        newest = listener.newest
        keys = ("newest", "sum", "unclean")
        answer = {} if newest is None else {key: getattr(newest, key) for key in keys}
        self.record.note("guest-off", last_answer=listener.at, **answer)
        self.record.check("power-off", passed=True)

    def _last_delta(self, qmp: Qmp) -> None:
        moved = self.migration.round(self.guest, self.migration.tracking(self.guest, qmp))
        self.record.note("last-delta", read=moved)

    def _carry_firmware(self) -> None:
        path = self.migration.target.firmware_path()
        if path is None or self.guest.nvram is None:
            return
        found = carry(
            self.migration.old, self.migration.node, self.guest.nvram, path, self.record.run
        )
        self.record.check("firmware-variables-kept", passed=True, note=f"sha256 {found}")

    def _prove(self, qmp: Qmp) -> None:
        """Read target and source again, each against the manifest; raises MigrateError."""
        failed = self._compare("target-equals-manifest", self._verify)
        tracking = self.migration.tracking(self.guest, qmp)
        failed += self._compare("source-equals-manifest", lambda disk: self._audit(tracking, disk))
        if failed:
            raise MigrateError(failed[0])

    def _compare(self, check: str, read: Callable[[str], dict[str, Any]]) -> list[str]:
        """Do it for every disk, note one verdict, and return what is wrong."""
        wrong, blocks, seals = [], 0, []
        for disk in self.guest.disks:
            try:
                counts = read(disk.name)
            except WorkerError as error:
                wrong.append(f"{check}: {error}")
            else:
                blocks += counts["blocks"]
                seals.append(f"manifest of {disk.name}: sha256 {counts['manifest']}")
        note = "; ".join(wrong or seals)
        self.record.check(check, not wrong, blocks, unit="blocks", note=note)
        return wrong

    def _verify(self, disk: str) -> dict[str, Any]:
        return self.migration.worker(disk).do("verify", target=self.migration.paths()[disk])

    def _audit(self, tracking: Tracking, disk: str) -> dict[str, Any]:
        export = tracking.export(disk)
        try:
            return self.migration.worker(disk).do("audit", source=self.migration.uri(export))
        finally:
            tracking.unexport(disk)
