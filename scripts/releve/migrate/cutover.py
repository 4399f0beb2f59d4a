"""The cutover: real power-off, last delta, fence. Until the fence the way back opens by itself.

Nothing here reads a whole disk: the target was read back while the guest worked, and the blocks
that are sent now are read back as they are sent (see `copying`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.migrate import faults
from releve.migrate.copying import Copying
from releve.migrate.errors import MigrateError, PowerButtonError
from releve.migrate.firmware import carry
from releve.migrate.gates import note_ports
from releve.migrate.listener import Listener
from releve.pve.client import PveError

if TYPE_CHECKING:
    from releve.migrate.migration import Migration
    from releve.migrate.sources.base import SourceGuest

ANSWER_KEYS = ("newest", "sum", "unclean", "boots")


class Cutover:
    """Takes one guest from running at its source to off, moved and fenced."""

    def __init__(self, migration: Migration, guest: SourceGuest) -> None:
        """`guest` is as its host has it now."""
        self.migration, self.guest = migration, guest
        self.record, self.source = migration.record, migration.source

    def do(self) -> None:
        """Do it all. Whatever fails before the fence, the guest goes on at its source."""
        migration = self.migration
        note_ports(migration)
        mark = self.source.mark()
        self.record.note("cutover-began", mark=mark)
        migration.say(f"{migration.name}: cutover")
        try:
            self._power_off()
            self._move()
        except PowerButtonError:
            self.record.check("power-off", passed=False, note="guest-ignores-power-button")
            self.record.note("cutover-aborted", why="guest-ignores-power-button")
            raise
        except (CommandError, MigrateError, MonitorError, PveError) as error:
            self.record.note("source-returned", why=str(error))
            raise MigrateError(f"{error}; {migration.name} goes on at its source") from error
        self.record.note("verified")
        self.source.fence(mark)
        faults.start_source_again(self.source, mark)
        self.record.note("fenced")
        migration.say(f"{migration.name}: verified and fenced")

    def _power_off(self) -> None:
        with Listener(self.migration.guest) as listener:
            self.record.note("power-button")
            self.source.power_off(self.migration.guest.stop_seconds)
        newest = listener.newest
        told = {} if newest is None else dataclasses.asdict(newest)
        answer = {key: told[key] for key in ANSWER_KEYS if key in told}
        self.record.note("guest-off", last_answer=listener.at, **answer)
        self.record.check("power-off", passed=True)

    def _move(self) -> None:
        try:
            faults.die_after_power_off()
            moved = self._last_delta()
            self.record.note("last-delta", read=moved)
            self._carry_firmware()
            self.source.release()
        except BaseException:
            self.source.start()
            raise

    def _last_delta(self) -> int:
        copying = Copying(self.migration)
        if self.source.rung == "bitmaps":
            return copying.round(self.guest)
        counts = [copying.copy(disk.name, "delta", last=True) for disk in self.guest.disks]
        return sum(count["read"] for count in counts)

    def _carry_firmware(self) -> None:
        path, variables = self.migration.target.firmware_path(), self.source.firmware()
        if path is None or variables is None:
            return
        found = carry(variables, self.migration.node, path, self.record.run)
        self.record.check("firmware-variables-kept", passed=True, note=f"sha256 {found}")
