"""In which order guests start: whoever is needed first; they stop the other way round."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releve.town.model import Town


def start_order(town: Town) -> dict[str, int]:
    """Return guest -> its start order, from 1; a guest comes after each that it needs.

    Guests with the same number start and stop together. Proxmox VE stops the highest number first.
    """
    order: dict[str, int] = {}
    graph = {name: set(guest.needs) for name, guest in town.guests.items()}
    for name in TopologicalSorter(graph).static_order():
        order[name] = 1 + max((order[need] for need in town.guests[name].needs), default=0)
    return order
