"""Inputs of role pve, from the town file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.town.model import Town


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    return {}
