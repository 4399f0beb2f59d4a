"""Proxmox VE as the restore drill needs it: guests removed, made from a copy's words, started."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.errors import CheckError
from releve.pve.guests import Guests, Volume, by_root, by_token
from releve.ssh import Ssh

if TYPE_CHECKING:
    from releve.town import Town

KEPT = re.compile(
    r"(name|memory|balloon|cores|sockets|machine|bios|ostype|scsihw|onboot|startup|agent|tablet"
    r"|tags|acpi|kvm|serial\d+|net\d+)\Z"
)
"""Settings of a copy that a guest is made with; the disks' come when they hold the copy."""


@dataclass(slots=True)
class PveNode:
    """One guest's place on a Proxmox VE node of the town."""

    town: Town
    name: str
    guests: Guests
    _volumes: dict[str, Volume] = field(default_factory=dict)
    _settings: dict[str, str] = field(default_factory=dict)
    _slots: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, town: Town, name: str) -> PveNode:
        """Return it; raises InputError when there is no token for the node."""
        return cls(town, name, Guests.of(town, town.guests[name].target))

    def destroy(self, vmid: int) -> None:
        """Cut the guest's power and remove it with its volumes."""
        if self.guests.exists(vmid):
            self.guests.stop(vmid)
            self.guests.delete(vmid)

    def make(self, vmid: int, said: dict[str, Any], sizes: dict[str, int]) -> dict[str, str]:
        """Make the guest without disks, and volumes of the copy's sizes."""
        words = json.loads(said["guest.json"])
        self._settings = {str(key): str(value) for key, value in words["config"].items()}
        called = {str(slot): str(disk) for slot, disk in words["disks"].items()}
        self._slots = {disk: slot for slot, disk in called.items()}
        guest = self.town.guests[self.name]
        settings: dict[str, object] = {
            key: value for key, value in self._settings.items() if KEPT.match(key)
        }
        if guest.pool:
            settings["pool"] = guest.pool
        self.guests.create(vmid, by_token(settings))
        if line := by_root(vmid, settings):
            Ssh.to(self.town, guest.target).run(line)
        for disk, size in sizes.items():
            self._volumes[disk] = self.guests.allocate(guest.storage, vmid, size)
        return {disk: str(volume.path) for disk, volume in self._volumes.items()}

    def attach(self, vmid: int) -> None:
        """Attach the volumes with the options that they had, and boot as before."""
        for disk, volume in self._volumes.items():
            slot = self._slots.get(disk, disk)
            options = self._settings[slot].split(",")[1:]
            kept = [option for option in options if not option.startswith("size=")]
            self.guests.configure(vmid, **{slot: ",".join([volume.id, *kept])})
        if "boot" in self._settings:
            self.guests.configure(vmid, boot=self._settings["boot"])

    def start(self, vmid: int) -> None:
        """Start the guest; raises CheckError when nothing was brought back."""
        if not self._volumes:
            message = f"{self.name}: no volume was made for it"
            raise CheckError(message)
        self.guests.start(vmid)
