"""What must hold between entries of a town file: references, addresses, plans that can work."""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from releve.town.check_power import check_power
from releve.town.hint import refer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.town.hint import Fault
    from releve.town.model import Guest, Town
    from releve.town.site import Host


def cross_check(town: Town) -> Iterator[Fault]:
    """Yield each fault as (place, sentence); an empty result means that the town can be built."""
    yield from _host_references(town)
    yield from _guest_references(town)
    yield from check_power(town)
    yield from _vault_references(town)
    yield from _addresses(town)
    yield from _unique(town)
    yield from _needs(town)


def _kind(
    town: Town, where: tuple[str | int, ...], name: str, kinds: tuple[str, ...]
) -> Iterator[Fault]:
    yield from refer(where, name, "hosts", town.hosts)
    if name in town.hosts and town.hosts[name].kind not in kinds:
        wanted = " or ".join(kinds)
        yield where, f'host "{name}" is of kind {town.hosts[name].kind}, this needs {wanted}'


# kind -> the playbook that sets it up, and the systems that it takes. A vault is only reached from
# its own console: as the client of a UPS it is one of those that never log in there.
MANAGED = {
    "node": ("provision", {"linux"}),
    "bay": ("provision", {"linux"}),
    "vault": ("vault", {"linux", "other"}),
}


def _system(name: str, host: Host) -> Iterator[Fault]:
    playbook, systems = MANAGED.get(host.kind, ("", {host.system}))
    if host.system not in systems:
        yield (
            ("hosts", name, "system"),
            f"playbooks/{playbook}.yml sets up each {host.kind}, and knows linux alone; a"
            f" {host.system} host is `kind: client`",
        )


def _host_references(town: Town) -> Iterator[Fault]:
    for name, host in town.hosts.items():
        yield from _system(name, host)
        yield from refer(("hosts", name, "network"), host.network, "networks", town.networks)
        for network in host.also_at:
            at = ("hosts", name, "also_at", network)
            yield from refer(at, network, "networks", town.networks)
            if network == host.network:
                yield at, f"{name} is in {network} by its `address` already"
        if host.kind == "old" and host.hypervisor is None:
            yield ("hosts", name, "hypervisor"), "is missing; an old host has one"
        if host.kind != "old" and host.hypervisor is not None:
            yield ("hosts", name, "hypervisor"), "only an old host has this key"
    for name, storage in town.storage.items():
        yield from _kind(town, ("storage", name, "host"), storage.host, ("node",))
        if storage.server is not None:
            yield from refer(("storage", name, "server"), storage.server, "hosts", town.hosts)
        if storage.server == storage.host:
            yield ("storage", name, "server"), "is the node itself; leave it out for its own disks"


def _guest_references(town: Town) -> Iterator[Fault]:
    for name, guest in town.guests.items():
        at = ("guests", name)
        yield from _kind(town, (*at, "source"), guest.source, ("old", "node"))
        yield from _kind(town, (*at, "target"), guest.target, ("node",))
        yield from refer((*at, "storage"), guest.storage, "storage", town.storage)
        if guest.storage in town.storage and town.storage[guest.storage].host != guest.target:
            there = town.storage[guest.storage].host
            yield (
                (*at, "storage"),
                f'storage "{guest.storage}" is on {there}, not on {guest.target}',
            )
        for number, need in enumerate(guest.needs):
            yield from refer((*at, "needs", number), need, "guests", town.guests)
        for number, nic in enumerate(guest.nics):
            yield from refer(
                (*at, "nics", number, "network"), nic.network, "networks", town.networks
            )
        yield from _disk_files(at, guest)
        if guest.cpus % guest.sockets:
            spread = f"{guest.cpus} processors cannot be spread evenly over {guest.sockets}"
            yield (*at, "sockets"), spread
        for number, person in enumerate(guest.tested_by):
            yield from refer((*at, "tested_by", number), person, "people", town.people)
        if guest.login and not (guest.nics and guest.nics[0].address):
            yield (*at, "login"), "needs a first network card with an address"
        if guest.witness and not any(nic.address for nic in guest.nics):
            yield (*at, "witness"), "needs a network card with an address to be asked at"


def _disk_files(at: tuple[str | int, ...], guest: Guest) -> Iterator[Fault]:
    for key in ("file", "frozen"):
        if len({getattr(disk, key) is None for disk in guest.disks}) > 1:
            yield (*at, "disks"), f"either every disk has a `{key}`, or none"
    for number, disk in enumerate(guest.disks):
        here = (*at, "disks", number)
        if disk.file and not disk.file.is_absolute():
            yield (*here, "file"), f"{disk.file} does not begin with /"
        if disk.frozen and not disk.frozen.file.is_absolute():
            yield (*here, "frozen", "file"), f"{disk.frozen.file} does not begin with /"
        if disk.frozen and not disk.file:
            yield (*here, "frozen"), "it needs the `file` that is read after the guest has stopped"
        if disk.frozen and disk.frozen.file == disk.file:
            yield (*here, "frozen"), "it is `file` itself, which the guest goes on writing to"


def _vault_references(town: Town) -> Iterator[Fault]:
    if town.vault:
        yield from _kind(town, ("vault", "host"), town.vault.host, ("vault",))
        for number, sender in enumerate(town.vault.senders):
            yield from _kind(town, ("vault", "senders", number), sender, ("node", "bay"))


def _addresses(town: Town) -> Iterator[Fault]:
    places: list[tuple[tuple[str | int, ...], str, object]] = [
        (("hosts", name, "address"), host.network, host.address)
        for name, host in town.hosts.items()
    ]
    places += [
        (("hosts", name, "also_at", network), network, address)
        for name, host in town.hosts.items()
        for network, address in host.also_at.items()
    ]
    places += [
        (("guests", name, "nics", number, "address"), nic.network, nic.address)
        for name, guest in town.guests.items()
        for number, nic in enumerate(guest.nics)
        if nic.address
    ]
    seen: dict[object, tuple[str | int, ...]] = {}
    for where, network, address in places:
        net = town.networks.get(network)
        if net and address not in net.cidr:
            yield where, f"{address} is outside of {network} ({net.cidr})"
        elif net and address in {net.cidr.network_address, net.cidr.broadcast_address}:
            yield where, f"{address} is the network's own or its broadcast address"
        if address in seen:
            yield where, f"{address} is taken by {'.'.join(map(str, seen[address][:2]))}"
        seen.setdefault(address, where)


def _unique(town: Town) -> Iterator[Fault]:
    both = town.hosts.keys() & town.guests.keys()
    for name in sorted(both):
        yield ("guests", name), f'a host is already called "{name}"'
    vmids = Counter(guest.vmid for guest in town.guests.values())
    seen: set[int] = set()
    macs: dict[str, str] = {name.mac: host for host, name in town.hosts.items() if name.mac}
    for name, guest in town.guests.items():
        if vmids[guest.vmid] > 1 and guest.vmid in seen:
            yield ("guests", name, "vmid"), f"{guest.vmid} is taken by another guest"
        seen.add(guest.vmid)
        for number, nic in enumerate(guest.nics):
            if nic.mac in macs:
                yield (
                    ("guests", name, "nics", number, "mac"),
                    f"{nic.mac} is taken by {macs[nic.mac]}",
                )
            macs.setdefault(nic.mac, name)
        disks = Counter(disk.name for disk in guest.disks)
        for number, disk in enumerate(guest.disks):
            if disks[disk.name] > 1 and disk.name in [one.name for one in guest.disks[:number]]:
                yield ("guests", name, "disks", number, "name"), f'"{disk.name}" is said twice'


def _needs(town: Town) -> Iterator[Fault]:
    graph = {
        name: [one for one in guest.needs if one in town.guests]
        for name, guest in town.guests.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        loop = error.args[1]
        yield ("guests", loop[0], "needs"), f"these guests wait for each other: {' -> '.join(loop)}"
