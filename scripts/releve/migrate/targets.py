"""Choose where a guest goes: Proxmox VE when its node has a token for us, else a plain QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.plain import PlainQemuTarget
from releve.migrate.pve import PveTarget
from releve.pve.tokens import MIGRATE, token_file

if TYPE_CHECKING:
    from releve.migrate.target import Target
    from releve.ssh import Ssh
    from releve.town import Town


def target_of(town: Town, name: str, node: Ssh) -> Target:
    """Return the target of one guest of the town."""
    if token_file(town.folder, town.guests[name].target, MIGRATE).exists():
        return PveTarget.of(town, name)
    return PlainQemuTarget(town, name, node)
