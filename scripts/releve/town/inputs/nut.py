"""Inputs of roles nut_primary and nut_secondary, from the town file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.town.order import start_order

if TYPE_CHECKING:
    from releve.town.model import Town, Ups


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    variables: dict[str, dict[str, Any]] = {}
    for name, ups in town.ups.items():
        variables.setdefault(ups.host, {}).update(_primary(town, name, ups))
        for client in ups.clients:
            variables.setdefault(client, {}).update(_secondary(town, name, ups, client))
    return variables


def _primary(town: Town, name: str, ups: Ups) -> dict[str, Any]:
    host = town.hosts[ups.host]
    order = start_order(town)
    return {
        "nut_primary_ups": name,
        "nut_primary_driver": ups.driver,
        "nut_primary_port": ups.port,
        "nut_primary_address": str(host.address),
        "nut_primary_capacity_seconds": ups.capacity_seconds,
        "nut_primary_stop_seconds": host.stop_seconds,
        "nut_primary_broadcast": str(town.networks[host.network].cidr.broadcast_address),
        "nut_primary_guests": [
            {"name": guest, "order": order[guest], "stop_seconds": town.guests[guest].stop_seconds}
            for guest in town.guests
            if town.guests[guest].target == ups.host
        ],
        "nut_primary_clients": [
            {
                "name": client,
                "address": str(town.hosts[client].address),
                "mac": town.hosts[client].mac or "",
                "stop_seconds": town.hosts[client].stop_seconds,
            }
            for client in ups.clients
        ],
    }


def _secondary(town: Town, name: str, ups: Ups, client: str) -> dict[str, Any]:
    return {
        "nut_secondary_ups": name,
        "nut_secondary_server": str(town.hosts[ups.host].address),
        "nut_secondary_address": str(town.hosts[client].address),
    }
