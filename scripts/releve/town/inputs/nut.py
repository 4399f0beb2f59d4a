"""Inputs of roles nut_primary and nut_secondary, from the town file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from releve.power.delays import ON_LEAST, default_on
from releve.power.supply import CABLE
from releve.town.order import start_order

if TYPE_CHECKING:
    from releve.town.model import Town


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    variables: dict[str, dict[str, Any]] = {}
    for name, host in town.hosts.items():
        here = [ups for ups in town.ups if town.ups[ups].host == name]
        elsewhere = [ups for ups in town.ups if name in town.ups[ups].clients]
        if here:
            variables[name] = _primary(town, name, here, elsewhere)
        elif any(name in town.secondaries(ups) for ups in elsewhere):
            variables[name] = {
                "nut_secondary_monitors": _monitors(town, name, elsewhere),
                "nut_secondary_min_supplies": _min_supplies(town, name, elsewhere),
                "nut_secondary_address": str(host.address),
                "nut_secondary_site": town.town.name,
                **_rule(town, name, elsewhere),
            }
    return variables


def _primary(town: Town, name: str, here: list[str], elsewhere: list[str]) -> dict[str, Any]:
    host = town.hosts[name]
    network = town.networks[host.network]
    clients = {client: None for ups in here for client in town.ups[ups].clients}
    stopped = town.stops(name).host
    return {
        **({} if stopped is None else {"nut_primary_stop_measured": stopped}),
        "nut_primary_devices": [_device(town, name, ups) for ups in here],
        "nut_primary_site": town.town.name,
        "nut_primary_remote": _monitors(town, name, elsewhere),
        "nut_primary_batteries": {
            ups: town.capacity_of(ups) for ups in town.ups if town.ups[ups].host != name
        },
        "nut_primary_min_supplies": _min_supplies(town, name, elsewhere),
        "nut_primary_addresses": [str(host.address), *map(str, host.also_at.values())],
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
        "mode": ups.mode,
        "tiers": [{"name": tier, **one.model_dump(mode="json")} for tier, one in ups.tiers.items()],
        "sets_delays": ups.delays_at == "driver",
        "supplies": _supplies(town, name, ups_name),
        "battery_life_months": ups.battery_life_months,
        "low_battery_is_enough": ups.low_battery_is_enough,
        "runtime_unit": ups.runtime_unit,
        **_measured(town, ups_name),
    }
    if ups.measured_alone is not None:
        told["measured_alone"] = ups.measured_alone
    if ups.battery_installed:
        told["battery_installed"] = ups.battery_installed.isoformat()
    least = default_on(ups.driver)  # of some drivers it is more than the role's own
    on = ups.ondelay_seconds or (least if least > ON_LEAST else None)
    delays = {"offdelay": ups.offdelay_seconds, "ondelay": on}
    return told | {key: value for key, value in delays.items() if value is not None}


def _measured(town: Town, ups_name: str) -> dict[str, Any]:
    """Return what the shutdown is reckoned with; nothing while the UPS is being commissioned."""
    told: dict[str, Any] = {}
    record = town.measured(ups_name)
    if record:
        told["record"] = json.loads(record.as_json())
    capacity = town.capacity_of(ups_name)
    return told | ({"capacity_seconds": capacity} if capacity else {})


def _supplies(town: Town, host: str, ups: str) -> int:
    return town.hosts[host].supplies.get(ups, 1)


def _monitors(town: Town, host: str, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "ups": town.ups[ups].followed_by(ups, host),
            "server": server,
            "host": town.ups[ups].host,
            "supplies": _supplies(town, host, ups),
        }
        for ups in names
        for server, _network in _paths(town, host, ups)
    ]


def _paths(town: Town, host: str, ups: str) -> list[tuple[str, str]]:
    """Return each way to a UPS's host: its address there, and the network."""
    server, client = town.hosts[town.ups[ups].host], town.hosts[host]
    known = {server.network: server.address, **server.also_at}
    return [
        (str(known[network]), network)
        for network in (client.network, *client.also_at)
        if network in known
    ]


def _min_supplies(town: Town, name: str, elsewhere: list[str]) -> int:
    """Return MINSUPPLIES: a path that was last seen on line counts as a good supply for ever."""
    more = sum(len(_paths(town, name, ups)) - 1 for ups in elsewhere)
    return town.hosts[name].min_supplies + max(0, more)


def _rule(town: Town, name: str, elsewhere: list[str]) -> dict[str, Any]:
    rule = town.hosts[name].host_rule
    if rule is None:
        return {}
    peers = [str(host.address) for other, host in town.hosts.items() if other != name]
    servers = {server for ups in elsewhere for server, _network in _paths(town, name, ups)}
    return {
        "nut_secondary_host_rule_seconds": rule.after_seconds,
        "nut_secondary_peers": [one for one in peers if one not in servers],
    }


def _guests(town: Town, host: str) -> list[dict[str, Any]]:
    order, measured = start_order(town), town.stops(host).guests
    return [
        {
            "name": name,
            "vmid": guest.vmid,
            "order": order[name],
            "stop_seconds": guest.stop_seconds,
            **({"measured_seconds": measured[guest.vmid]} if guest.vmid in measured else {}),
        }
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
        "serves": _serves(town, name, town.ups[here[0]].host),
        "min_supplies": _min_supplies(town, name, here),
        "paths": [
            _path(network, town.networks[network].powered_by)
            for network in dict.fromkeys(
                network for ups in here for _server, network in _paths(town, name, ups)
            )
        ],
        "host_rule": host.host_rule.model_dump() if host.host_rule else None,
    }


def _serves(town: Town, name: str, node: str) -> list[str]:
    """Return what lies on shares of a host that a node has mounted."""
    shares = [one for one in town.storage.values() if one.server == name and one.host == node]
    return sorted({content for one in shares for content in one.content})


def _path(network: str, powered_by: str | None) -> dict[str, str | None]:
    """Return a way between two hosts; a cable has no switch that could die."""
    if powered_by == CABLE:
        return {"via": CABLE, "powered_by": None}
    return {"via": network, "powered_by": powered_by}
