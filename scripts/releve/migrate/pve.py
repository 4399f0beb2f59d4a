"""A target on Proxmox VE, made by an API token with the least rights for it.

The run's id stands in the guest's description, so nothing of others is ever taken for ours. Until
the copy is proved the guest has no disk, its cables are out, and it is locked as PVE locks a guest
that is being migrated: a half-copied volume cannot be attached, started or backed up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.migrate.errors import ForeignError, MigrateError
from releve.migrate.identify import identified
from releve.pve.guests import (
    Guests,
    Volume,
    by_root,
    by_token,
    options_of,
    settings_of,
    slots_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from releve.town import Town

MARK = "releve migrate, run "
LOCK = "migrate"
NOT_DISKS = ("efidisk0", "tpmstate0")  # volumes of a guest that it does not see as disks


@dataclass(frozen=True, slots=True)
class PveTarget:
    """One guest of the town on its Proxmox VE node."""

    town: Town
    name: str
    guests: Guests

    @classmethod
    def of(cls, town: Town, name: str) -> PveTarget:
        """Return the target; raises InputError when there is no token for its node."""
        return cls(town, name, Guests.of(town, town.guests[name].target))

    @property
    def _vmid(self) -> int:
        return self.town.guests[self.name].vmid

    def prepare(
        self, run: str, sizes: dict[str, int], cleared: Mapping[str, set[str]]
    ) -> dict[str, str]:
        """Make the guest without disks and its volumes, or find what this run made of them."""
        self._refuse_unlisted(sizes)
        owner = self.owner()
        if owner in cleared:
            self._refuse_others(cleared[str(owner)], len(sizes))
            self.guests.delete(self._vmid)
            owner = None
        if owner is None:
            self._refuse_volumes()
            settings = by_token(settings_of(self.town, self.name))
            self.guests.create(self._vmid, {**settings, "description": f"{MARK}{run}"})
        elif owner != run:
            message = (
                f"{self.guests.node}: guest {self._vmid} is not of this run ({owner or 'no mark'});"
                " give the guest another vmid, or remove that one by hand"
            )
            raise ForeignError(message)
        volumes = self._volumes()
        if len(volumes) > len(sizes):
            message = (
                f"{self.guests.node}: {len(volumes)} volumes of guest {self._vmid} are there, and"
                f" it has {len(sizes)} disks; look whose {volumes[-1].id} is, and remove it"
            )
            raise ForeignError(message)
        storage = self.town.guests[self.name].storage
        for size in list(sizes.values())[len(volumes) :]:
            volumes.append(self.guests.allocate(storage, self._vmid, size))
        return {disk: str(volume.path) for disk, volume in zip(sizes, volumes, strict=True)}

    def identify(self, kept: dict[str, Any]) -> PveTarget:
        """Return the target that gives the guest the identity it has at its source."""
        return PveTarget(identified(self.town, self.name, kept), self.name, self.guests)

    def by_root(self) -> str:
        """Return the shell line for what PVE lets root alone set; it locks the guest too."""
        return by_root(self._vmid, settings_of(self.town, self.name), LOCK)

    def opening(self, runs: Collection[str]) -> str:
        """Return root's line that unlocks the guest of one of these runs; "" for nothing to do."""
        return f"qm unlock {self._vmid}" if self.owner() in runs and self._locked() else ""

    def closing(self) -> str:
        """Return root's line that locks the guest again; "" when it is."""
        return "" if self._locked() else by_root(self._vmid, {}, LOCK)

    def _locked(self) -> bool:
        return self.guests.config(self._vmid).get("lock") == LOCK

    def firmware_path(self) -> str | None:
        """Return the path of the volume that PVE made for the EFI variables."""
        return self._path("efidisk0")

    def tpm_path(self) -> str | None:
        """Return the path of the volume that PVE made for the state of the TPM."""
        return self._path("tpmstate0")

    def start(self) -> None:
        """Attach the disks, let it start with the node, and start it."""
        if self.running():
            return
        guest = self.town.guests[self.name]
        volumes = self._volumes()
        slots = dict(zip(slots_of(guest), volumes, strict=True))
        self.guests.attach(self._vmid, slots, options_of(guest))
        if not guest.health.agent:
            self.plug()
        self.guests.configure(self._vmid, onboot=guest.autostart)
        self.guests.start(self._vmid)

    def plug(self) -> None:
        """Put the cables in, of a running guest too."""
        self.guests.set_links(self._vmid, up=True)

    def agent_answers(self) -> bool:
        """Ask by PVE."""
        return self.guests.agent_answers(self._vmid)

    def stop(self, seconds: int) -> None:
        """Stop it, pull its cables, and keep it from starting with the node."""
        if self._locked() and not self.running():
            return  # it never worked, or is stopped already
        self.guests.configure(self._vmid, onboot=False)
        if self.running():
            self.guests.shutdown(self._vmid, seconds, force=True)
        self.guests.set_links(self._vmid, up=False)

    def delete(self, run: str) -> None:
        """Remove the guest of this run with its volumes."""
        if self.owner() == run:
            self.guests.delete(self._vmid)

    def exists(self, run: str) -> bool:
        """Read the mark in its description."""
        return self.owner() == run

    def running(self) -> bool:
        """Ask PVE."""
        return self.guests.exists(self._vmid) and self.guests.state(self._vmid).running

    def macs(self) -> tuple[str, ...]:
        """Read the guest's cards, in order."""
        config = self.guests.config(self._vmid)
        cards = [
            str(config[key]) for key in (f"net{number}" for number in range(32)) if key in config
        ]
        return tuple(card.split(",")[0].partition("=")[2].lower() for card in cards)

    def owner(self) -> str | None:
        """Return the run in the guest's description, "" without one, None without the guest."""
        if not self.guests.exists(self._vmid):
            return None
        text = str(self.guests.config(self._vmid).get("description", "")).strip()
        return text.removeprefix(MARK) if text.startswith(MARK) else ""

    def _listed(self) -> list[str]:
        storage = self.town.guests[self.name].storage
        at = f"/nodes/{self.guests.node}/storage/{storage}/content"
        rows = self.guests.pve.get(at, vmid=self._vmid, content="images")
        return sorted((str(row["volid"]) for row in rows), key=_number)

    def _refuse_unlisted(self, sizes: dict[str, int]) -> None:
        """Raise MigrateError when the source's disks are not those of the town file."""
        listed = [disk.name for disk in self.town.guests[self.name].disks]
        if list(sizes) != listed:
            message = (
                f"{self.name}: it has the disks {', '.join(sizes)}, the town file says"
                f" {', '.join(listed)}; survey the old host again, and copy what it writes"
            )
            raise MigrateError(message)

    def _refuse_volumes(self) -> None:
        if listed := self._listed():
            message = (
                f"{self.guests.node}: {listed[0]} is there already, and no guest {self._vmid};"
                " it is not overwritten. Remove it, or give the guest another vmid"
            )
            raise ForeignError(message)

    def _refuse_others(self, made: set[str], disks: int) -> None:
        """Raise when a volume would be removed with a guest of ours whose run did not make it."""
        found = self._volumes()
        others = [one for one in found if str(one.path) not in made] if made else found[disks:]
        if others:
            message = (
                f"{self.guests.node}: {others[0].id} was not made by the run that left guest"
                f" {self._vmid}, and would be removed with it; give it another name, or remove it"
            )
            raise ForeignError(message)

    def _volumes(self) -> list[Volume]:
        """Return the guest's volumes in the order they were made, its disks alone."""
        config, storage = self.guests.config(self._vmid), self.town.guests[self.name].storage
        others = {_volid(config, slot) for slot in NOT_DISKS}
        return [self.guests.volume(storage, id_) for id_ in self._listed() if id_ not in others]

    def _path(self, slot: str) -> str | None:
        volid = _volid(self.guests.config(self._vmid), slot)
        if not volid:
            return None
        return str(self.guests.volume(self.town.guests[self.name].storage, volid).path)


def _volid(config: dict[str, object], slot: str) -> str:
    return str(config.get(slot, "")).split(",")[0]


def _number(volid: str) -> tuple[int, str]:
    """Sort disk-10 after disk-9."""
    digits = volid.rpartition("-")[2].partition(".")[0]
    return (int(digits) if digits.isdigit() else 0, volid)
