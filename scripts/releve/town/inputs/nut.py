"""Inputs of roles nut_primary and nut_secondary, from the town file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from releve.town.order import start_order

if TYPE_CHECKING:
    from releve.town.model import Town
    from releve.town.power import Ups


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    variables: dict[str, dict[str, Any]] = {}
    for name, host in town.hosts.items():
        here = [ups for ups in town.ups if town.ups[ups].host == name]
        elsewhere = [ups for ups in town.ups if name in town.ups[ups].clients]
        if here:
            variables[name] = _primary(town, name, here, elsewhere)
        elif elsewhere and host.system == "linux":
            variables[name] = {
                "nut_secondary_monitors": _monitors(town, name, elsewhere),
                "nut_secondary_min_supplies": host.min_supplies,
                "nut_secondary_address": str(host.address),
            }
    return variables


def _primary(town: Town, name: str, here: list[str], elsewhere: list[str]) -> dict[str, Any]:
    host = town.hosts[name]
    network = town.networks[host.network]
    clients = {client: None for ups in here for client in town.ups[ups].clients}
    return {
        "nut_primary_devices": [_device(town, name, ups) for ups in here],
        "nut_primary_remote": _monitors(town, name, elsewhere),
        "nut_primary_min_supplies": host.min_supplies,
        "nut_primary_address": str(host.address),
        "nut_primary_stop_seconds": host.stop_seconds,
        "nut_primary_broadcast": str(network.cidr.broadcast_address),
        "nut_primary_guests": _guests(town, name),
        "nut_primary_clients": [_client(town, client, here) for client in clients],
    }


def _device(town: Town, name: str, ups_name: str) -> dict[str, Any]:
    """Return what is known of a UPS; what the town file leaves out is the role's to say."""
    ups = town.ups[ups_name]
    told: dict[str, Any] = {
        "name": ups_name,
        "driver": ups.driver,
        "port": ups.port,
        "options": dict(ups.options),
        "sets_delays": ups.delays_at == "driver",
        "supplies": _supplies(town, name, ups_name),
        **_measured(town, ups_name, ups),
    }
    delays = {"offdelay": ups.offdelay_seconds, "ondelay": ups.ondelay_seconds}
    return told | {key: value for key, value in delays.items() if value is not None}


def _measured(town: Town, ups_name: str, ups: Ups) -> dict[str, Any]:
    """Return what the shutdown is reckoned with; nothing while the UPS is being commissioned."""
    told: dict[str, Any] = {}
    record = town.measured(ups_name)
    if record:
        told["record"] = json.loads(record.as_json())
        if record.moved.charge and record.moved.runtime and not record.commissioning:
            told["thresholds"] = "own"
    capacity = ups.capacity_seconds or (record and record.capacity_seconds)
    return told | ({"capacity_seconds": capacity} if capacity else {})


def _supplies(town: Town, host: str, ups: str) -> int:
    return town.hosts[host].supplies.get(ups, 1)


def _monitors(town: Town, host: str, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "ups": ups,
            "server": str(town.hosts[town.ups[ups].host].address),
            "supplies": _supplies(town, host, ups),
        }
        for ups in names
    ]


def _guests(town: Town, host: str) -> list[dict[str, Any]]:
    order = start_order(town)
    return [
        {"name": name, "order": order[name], "stop_seconds": guest.stop_seconds}
        for name, guest in town.guests.items()
        if guest.target == host
    ]


def _client(town: Town, name: str, here: list[str]) -> dict[str, Any]:
    host = town.hosts[name]
    return {
        "name": name,
        "address": str(host.address),
        "mac": host.mac or "",
        "stop_seconds": host.stop_seconds,
        "logs_in": host.system == "linux",
        "devices": [ups for ups in here if name in town.ups[ups].clients],
        "guests": _guests(town, name),
        "switch_powered_by": town.networks[host.network].powered_by or "unknown",
    }
