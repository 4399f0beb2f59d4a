"""By what an old host knows its guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releve.town.model import Town


def by_number(town: Town, host: str) -> bool:
    """Say whether a host knows its guests by their numbers, as Proxmox VE does; else by names."""
    return town.hosts[host].hypervisor == "pve"


def name_at_source(town: Town, name: str) -> str:
    """Return by what a guest's old host knows it: what the town file says, else name or number."""
    guest = town.guests[name]
    return guest.source_name or (str(guest.vmid) if by_number(town, guest.source) else name)
