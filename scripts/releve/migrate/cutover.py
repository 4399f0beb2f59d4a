"""The cutover: real power-off, last delta, proof, fence. Until the proof, the way back is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.migrate import faults
from releve.migrate.errors import MigrateError, PowerButtonError, WorkerError
from releve.migrate.firmware import carry
from releve.migrate.listener import Listener
from releve.pve.client import PveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.migration import Migration
    from releve.migrate.sources.base import SourceGuest


class Cutover:
    """Takes one guest from running at its source to off, moved, verified and fenced."""

    def __init__(self, migration: Migration, guest: SourceGuest) -> None:
        """`guest` is as its host has it now."""
        self.migration, self.guest = migration, guest
        self.record, self.source = migration.record, migration.source

    def do(self) -> None:
        """Do it all. Whatever fails before the fence, the guest goes on at its source."""
        migration = self.migration
        mark = self.source.mark()
        self.record.note("cutover-began", mark=mark)
        migration.say(f"{self.guest.name}: cutover")
        try:
            self._power_off()
            self._move_and_prove()
            self.source.release()
        except PowerButtonError:
            self.record.check("power-off", passed=False, note="guest-ignores-power-button")
            self.record.note("cutover-aborted", why="guest-ignores-power-button")
            raise
        except (CommandError, MigrateError, MonitorError, PveError) as error:
            self.record.note("source-returned", why=str(error))
            raise MigrateError(f"{error}; {self.guest.name} goes on at its source") from error
        self.record.note("verified")
        self.source.fence(mark)
        faults.start_source_again(self.source, mark)
        self.record.note("fenced")
        migration.say(f"{self.guest.name}: verified and fenced")

    def _power_off(self) -> None:
        with Listener(self.migration.guest) as listener:
            self.record.note("power-button")
            self.source.power_off(self.migration.guest.stop_seconds)
        newest = listener.newest
        keys = ("newest", "sum", "unclean")
        answer = {} if newest is None else {key: getattr(newest, key) for key in keys}
        self.record.note("guest-off", last_answer=listener.at, **answer)
        self.record.check("power-off", passed=True)

    def _move_and_prove(self) -> None:
        try:
            faults.die_after_power_off()
            moved = self.migration.round(self.guest)
            self.record.note("last-delta", read=moved)
            self._carry_firmware()
            faults.flip_target_byte(self.migration.node, self.migration.paths().values())
            self._prove()
        except BaseException:
            self.source.start()
            raise

    def _carry_firmware(self) -> None:
        path, variables = self.migration.target.firmware_path(), self.source.firmware()
        if path is None or variables is None:
            return
        found = carry(variables, self.migration.node, path, self.record.run)
        self.record.check("firmware-variables-kept", passed=True, note=f"sha256 {found}")

    def _prove(self) -> None:
        """Read target and source again, each against the manifest; raises MigrateError."""
        failed = self._compare("target-equals-manifest", self._verify)
        failed += self._compare("source-equals-manifest", self._audit)
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

    def _audit(self, disk: str) -> dict[str, Any]:
        try:
            return self.migration.worker(disk).do("audit", source=self.source.uri(disk))
        finally:
            self.source.withdraw(disk)
