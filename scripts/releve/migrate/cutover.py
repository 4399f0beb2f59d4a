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
from releve.migrate.tpm import WithTpm
from releve.migrate.tpm import carry as carry_tpm
from releve.pve.client import PveError

if TYPE_CHECKING:
    from releve.migrate.migration import Migration
    from releve.migrate.sources.base import SourceGuest

ANSWER_KEYS = ("newest", "sum", "unclean", "boots")


class Cutover:
    """Takes one guest from running at its source to off, moved and fenced."""

    def __init__(self, migration: Migration, guest: SourceGuest, heard: Listener) -> None:
        """`guest` is as its host has it now; `heard` has listened to it until now."""
        self.migration, self.guest, self.heard = migration, guest, heard
        self.record, self.source = migration.record, migration.source
        self.where_it_is = f"{migration.name} goes on at its source"

    def do(self) -> None:
        """Do it all. Whatever fails before the fence, the guest goes on at its source."""
        migration = self.migration
        self._refuse_other_disks()
        if self.source.rung != "hash-delta":  # that one was noted while it still worked
            note_ports(migration)
        mark = self.source.mark()
        self.record.note("cutover-began", mark=mark)
        migration.say(f"{migration.name}: cutover")
        try:
            self._power_off()
            self._move()
        except PowerButtonError as error:
            deaf = self.source.rung == "bitmaps"
            why = "guest-ignores-power-button" if deaf else str(error)
            self.record.check("power-off", passed=False, note=why)
            self.record.note("cutover-aborted", why=why)
            raise
        except (CommandError, MigrateError, MonitorError, PveError) as error:
            self.record.note("source-returned", why=str(error))
            raise MigrateError(f"{error}; {self.where_it_is}") from error
        self.record.note("verified")
        self.source.fence(mark)
        faults.start_source_again(self.source, mark)
        self.record.note("fenced")
        migration.say(f"{migration.name}: verified and fenced")

    def _refuse_other_disks(self) -> None:
        """Raise MigrateError when a disk came or went since the copy: it would be left behind."""
        copied = {(disk.name, disk.file) for disk in self.guest.disks}
        found = {(disk.name, disk.file) for disk in self.migration.find().disks}
        if other := sorted(copied ^ found):
            name, file = other[0]
            message = (
                f"{self.migration.name}: disk {name} ({file}) is not what was copied: disks were"
                f" added or taken away meanwhile; it goes on at {self.source.host}. Bring its disks"
                " and the town file together, then run again"
            )
            raise MigrateError(message)

    def _power_off(self) -> None:
        last = self.heard
        self.record.note("power-button")
        if self.source.rung == "hash-delta":
            self.source.power_off(self.migration.guest.stop_seconds)
        else:
            with Listener(self.migration.guest) as listener:
                self.source.power_off(self.migration.guest.stop_seconds)
            last = listener if listener.newest else self.heard
        told = {} if last.newest is None else dataclasses.asdict(last.newest)
        answer = {key: told[key] for key in ANSWER_KEYS if key in told}
        if last.newest or self.source.rung == "bitmaps":
            self.record.note("guest-off", last_answer=last.at, **answer)
        else:  # a person stopped it, before anybody listened
            self.record.note("guest-off", unheard=True)
        self.record.check("power-off", passed=True)

    def _move(self) -> None:
        try:
            moved = self._last_delta()
            self.record.note("last-delta", read=moved)
            self._carry_firmware()
            self._carry_tpm()
            self.source.release()
        except BaseException:
            if by_hand := self.source.start():
                self.where_it_is = f"{self.migration.name} is not started: {by_hand}"
            raise

    def _last_delta(self) -> int:
        copying = Copying(self.migration)
        if self.source.rung == "bitmaps":
            return copying.round(self.guest)
        counts = [copying.copy(disk.name, "delta", last=True) for disk in self.guest.disks]
        here = [disk.name for disk, count in zip(self.guest.disks, counts, strict=True)
                if count["by"] == "list"]  # fmt: skip
        note = f"hashed at {self.source.host}: {', '.join(here)}" if here else ""
        crossed = sum(count["crossed"] for count in counts)
        self.record.check("bytes-at-cutover", passed=True, value=crossed, unit="B", note=note)
        return sum(count["read"] for count in counts)

    def _carry_firmware(self) -> None:
        path, variables = self.migration.target.firmware_path(), self.source.firmware()
        if path is None or variables is None:
            return
        found = carry(variables, self.migration.node, path, self.record.run)
        self.record.check("firmware-variables-kept", passed=True, note=f"sha256 {found}")

    def _carry_tpm(self) -> None:
        source, path = self.source, self.migration.target.tpm_path()
        state = source.tpm() if isinstance(source, WithTpm) else None
        if path is None or state is None:
            return
        found = carry_tpm(state, self.migration.node, path, self.record.run)
        self.record.check("tpm-state-kept", passed=True, note=f"sha256 {found}")
