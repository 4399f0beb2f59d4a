"""Inputs of the roles, one module per duty; each says only what the town file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.town.inputs import base, nut, pve, vault

if TYPE_CHECKING:
    from releve.town.model import Town


def role_inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> variables of all roles."""
    merged: dict[str, dict[str, Any]] = {name: {} for name in town.hosts}
    for duty in (base, nut, pve, vault):
        for host, variables in duty.inputs(town).items():
            merged[host].update(variables)
    return merged
