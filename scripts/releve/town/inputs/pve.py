"""Inputs of role pve, from the town file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.pve.objects import objects_of

if TYPE_CHECKING:
    from releve.town.model import Town


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    ca_file = str(town.path(town.pve.ca_file)) if town.pve.ca_file else ""
    return {
        name: {
            "pve_address": str(host.address),
            "pve_ca_file": ca_file,
            "pve_token_folder": str(town.folder),
            "pve_objects": objects_of(town, name),
        }
        for name, host in town.hosts_of("node").items()
    }
