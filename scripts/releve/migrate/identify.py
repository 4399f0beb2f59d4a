"""The identity a guest has at its source goes with it, also where the town file does not say it.

What the town file says stands; what it leaves open is taken from the guest's own definition when
its migration begins, and stays the same until its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.migrate.identity import disk_entry, identity_entry
from releve.migrate.sources.libvirt import parse_domain
from releve.migrate.sources.pve_guest import parse_conf
from releve.town.model import Guest

if TYPE_CHECKING:
    from releve.migrate.sources.domain import Domain
    from releve.town import Town


def identity_of(name: str, definition: str) -> dict[str, Any]:
    """Return what a definition says of a guest's identity, in the town file's keys.

    It is libvirt's or the file of a Proxmox VE guest; files of disks come with none, and an empty
    one says nothing. `disks` maps a disk's name to its keys.
    """
    if definition.lstrip().startswith("<domain"):
        return kept_of(parse_domain(definition, name))
    return kept_of(parse_conf(definition, name)) if definition.strip() else {}


def kept_of(domain: Domain) -> dict[str, Any]:
    """Return what a definition says of a guest's identity, in the town file's keys."""
    disks = {disk.target: disk_entry(disk) for disk in domain.disks}
    return {**identity_entry(domain), "disks": {key: kept for key, kept in disks.items() if kept}}


def identified(town: Town, name: str, kept: dict[str, Any]) -> Town:
    """Return the town with what its file leaves open of one guest's identity."""
    said = town.guests[name].model_dump(mode="json", exclude_unset=True)
    smbios = {**kept.get("smbios", {}), **said.get("smbios", {})}
    disks = [{**kept.get("disks", {}).get(disk["name"], {}), **disk} for disk in said["disks"]]
    filled = {**kept, **said, "disks": disks} | ({"smbios": smbios} if smbios else {})
    guest = Guest.model_validate(filled)
    return town.model_copy(update={"guests": {**town.guests, name: guest}})
