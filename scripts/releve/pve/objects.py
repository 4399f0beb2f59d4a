"""What the town wants in a node's PVE: storages, pools, and a token that can just migrate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.pve.tokens import MIGRATE

if TYPE_CHECKING:
    from releve.pve.kinds import Fields
    from releve.town import Town

MIGRATE_ROLE = "ReleveMigrate"
# Each was needed: make a guest and its volume, attach it, plug its cable, start it, stop it.
MIGRATE_PRIVILEGES = (
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "SDN.Use",
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
)


def objects_of(town: Town, node: str) -> dict[str, dict[str, Fields]]:
    """Return kind -> id -> fields of a node's objects."""
    storages = {name: one for name, one in town.storage.items() if one.host == node}
    guests = [guest for guest in town.guests.values() if guest.target == node]
    pools = list(dict.fromkeys(guest.pool for guest in guests if guest.pool))
    bridges = {town.networks[nic.network].bridge for guest in guests for nic in guest.nics}
    paths = [f"/pool/{pool}" for pool in pools]
    paths += [f"/vms/{guest.vmid}" for guest in guests if not guest.pool]
    paths += [f"/storage/{guest_storage}" for guest_storage in storages]
    paths += [f"/sdn/zones/localnetwork/{bridge}" for bridge in sorted(bridges)]
    user = MIGRATE.partition("!")[0]
    # A token whose privileges are separate has only what its user has as well.
    entries: dict[str, Fields] = {
        f"{path} {who}": {"roles": [MIGRATE_ROLE], "propagate": True}
        for path in paths
        for who in (user, MIGRATE)
    }
    return {
        "role": {MIGRATE_ROLE: {"privs": list(MIGRATE_PRIVILEGES)}},
        "user": {user: {"comment": "releve", "enable": True}},
        "token": {MIGRATE: {"comment": "Migration", "privsep": True}},
        "pool": {pool: {"comment": town.town.name} for pool in pools},
        "storage": {
            name: {"type": one.type, "path": str(one.path), "content": list(one.content)}
            for name, one in storages.items()
        },
        "acl": entries,
    }
