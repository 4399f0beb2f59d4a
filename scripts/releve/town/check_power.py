"""What must hold between UPSes, the hosts that follow them, and what feeds the switches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.power.delays import OFF_LEAST, Device, default_on, is_cyberpower
from releve.power.inputs.devices import SECRET, device_faults
from releve.power.supply import CABLE, MAINS
from releve.town.hint import refer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.town.hint import Fault
    from releve.town.model import Town
    from releve.town.power import Ups
    from releve.town.site import Host

# kind -> why role nut_secondary cannot be applied there
UNTOUCHED = {
    "old": "an old host, on which nothing is installed",
    "vault": "a vault, where nobody of the site logs in",
}
SYNOLOGY_ASKS_FOR = "ups"  # by DSM's own start script, whatever is set in its control panel


def check_power(town: Town) -> Iterator[Fault]:
    """Yield each fault of the UPSes as (place, sentence)."""
    for name, network in town.networks.items():
        if network.powered_by not in {None, MAINS, CABLE}:
            known = [*town.ups, MAINS, CABLE]
            yield from refer(
                ("networks", name, "powered_by"), network.powered_by or "", "ups", known
            )
    for primary in dict.fromkeys(ups.host for ups in town.ups.values()):
        yield from _files(town, primary)
    for name, ups in town.ups.items():
        yield from _device(("ups", name), ups)
        yield from _enough(("ups", name), ups)
        yield from _measured(town, name, ups)
        yield from _clients(town, name, ups)
        yield from _tiers(("ups", name), ups)
    for name, host in town.hosts.items():
        yield from _supplies(town, name, host)
        yield from _synology(town, name, host)
        yield from _stops(town, name)


def _files(town: Town, host: str) -> Iterator[Fault]:
    """Judge what ups.conf of a host would say of its devices."""
    devices = []
    for name, ups in town.ups.items():
        if ups.host != host:
            continue
        for key in SECRET:
            if key in ups.options:
                yield (
                    ("ups", name, "options", key),
                    "is a password: write it into group_vars/all/secrets.yml, as"
                    f" nut_primary_secret_options: {{{name}: {{{key}: ...}}}}",
                )
        # Whether it is there shows when the role runs, which can read it.
        unseen = dict.fromkeys(SECRET, "not-shown-here") if ups.driver == "snmp-ups" else {}
        unseen.pop("password", None)
        options = unseen | dict(ups.options)
        devices.append({"name": name, "driver": ups.driver, "port": ups.port, "options": options})
    for fault in device_faults(devices):
        yield ("ups", fault.device, *fault.key.split(".", 1)), fault.text


def _device(at: tuple[str, str], ups: Ups) -> Iterator[Fault]:
    delays = (ups.offdelay_seconds, ups.ondelay_seconds)
    if delays[0] and delays[1] and delays[1] <= delays[0]:
        wanted = f"must be more than offdelay_seconds ({ups.offdelay_seconds})"
        yield (*at, "ondelay_seconds"), f"{ups.ondelay_seconds} {wanted}"
        return
    asked = Device(
        ups.driver,
        ups.offdelay_seconds or OFF_LEAST,
        ups.ondelay_seconds or default_on(ups.driver),
        ups.delays_at == "driver",
        ups.driver == "usbhid-ups" and is_cyberpower(ups.options),
    )
    for fault in asked.faults():
        name = next((one for one in ("offdelay", "ondelay") if fault.startswith(one)), "")
        yield (*at, f"{name}_seconds" if name else "driver"), fault.removeprefix(f"{name} ")


def _enough(at: tuple[str, str], ups: Ups) -> Iterator[Fault]:
    if ups.low_battery_is_enough and ups.mode == "policy":
        yield (
            (*at, "low_battery_is_enough"),
            "mode policy decides by all that can be believed; remove this key, or the mode",
        )


def _measured(town: Town, name: str, ups: Ups) -> Iterator[Fault]:
    try:
        record = town.measured(name)
    except InputError as error:
        yield ("ups", name), str(error)
        return
    if record and record.capacity_seconds and ups.capacity_seconds:
        yield (
            ("ups", name, "capacity_seconds"),
            f"measured/{name}.json says it, too ({record.capacity_seconds} s); remove this key",
        )


def _stops(town: Town, name: str) -> Iterator[Fault]:
    try:
        town.stops(name)
    except InputError as error:
        yield ("hosts", name), str(error)


def _clients(town: Town, name: str, ups: Ups) -> Iterator[Fault]:
    yield from refer(("ups", name, "host"), ups.host, "hosts", town.hosts)
    primary = town.hosts.get(ups.host)
    if primary and (primary.kind == "old" or primary.system != "linux"):
        what = "an old host" if primary.kind == "old" else f"a {primary.system} host"
        yield ("ups", name, "host"), f"{ups.host} is {what}; NUT runs on a linux host that stays"
    for number, client in enumerate(ups.clients):
        at = ("ups", name, "clients", number)
        yield from refer(at, client, "hosts", town.hosts)
        there = town.hosts.get(client)
        if there and there.kind in UNTOUCHED and there.system == "linux":
            why = UNTOUCHED[there.kind]
            yield at, f"{client} is {why}: give it `system: other`, so that its stop counts"
        if client == ups.host:
            yield at, f"{client} has the cable and is no client"
        if client in ups.clients[:number]:
            yield at, f"{client} is said twice"


def _tiers(at: tuple[str, str], ups: Ups) -> Iterator[Fault]:
    if ups.tiers and ups.mode != "policy":
        yield (*at, "tiers"), f"mode {ups.mode} knows no tiers; write `mode: policy`"
    seen: dict[str, str] = {}
    for name, tier in ups.tiers.items():
        for number, host in enumerate(tier.hosts):
            place = (*at, "tiers", name, "hosts", number)
            if host not in ups.clients:
                yield place, f"{host} is no client of this UPS"
            if host in seen:
                yield place, f"{host} is in tier {seen[host]} already"
            seen.setdefault(host, name)
        if name == "site":
            yield (*at, "tiers", name), "`site` is what all hosts belong to; name it otherwise"


def _supplies(town: Town, name: str, host: Host) -> Iterator[Fault]:
    fed_by = {ups for ups, one in town.ups.items() if name in {one.host, *one.clients}}
    yield from _rule(town, name, host)
    for ups in host.supplies:
        at = ("hosts", name, "supplies", ups)
        yield from refer(at, ups, "ups", town.ups)
        if ups in town.ups and ups not in fed_by:
            yield at, f"{name} is neither the host nor a client of {ups}"
    for ups in sorted(fed_by - host.supplies.keys() if host.supplies else set()):
        yield ("hosts", name, "supplies"), f"{ups} feeds {name}, too; say how many supplies"
    count = sum(host.supplies.values()) or len(fed_by)
    if fed_by and host.min_supplies > count:
        wrong = f"{host.min_supplies} is more than the {count} that it has"
        yield ("hosts", name, "min_supplies"), wrong


def _rule(town: Town, name: str, host: Host) -> Iterator[Fault]:
    """Judge a rule that role nut_secondary would have to bring there."""
    at = ("hosts", name, "host_rule")
    if host.host_rule is None:
        return
    if not any(name in ups.clients for ups in town.ups.values()):
        yield at, f"{name} is no client of a UPS and has nothing to hear"
    elif host.system != "linux":
        yield at, f"nothing of ours runs on a {host.system} host; remove it"
    elif any(name == ups.host for ups in town.ups.values()):
        yield at, f"{name} has the cable of a UPS and hears that one; remove it"


def _synology(town: Town, name: str, host: Host) -> Iterator[Fault]:
    followed = {ups: one.followed_by(ups, name) for ups, one in town.ups.items()
                if name in one.clients}  # fmt: skip
    if host.system != "synology" or not followed or SYNOLOGY_ASKS_FOR in followed.values():
        return
    virtual = [shown for ups, shown in followed.items() if shown != ups]
    what = f"mode policy shows it {virtual[0]}" if virtual else f"this is {min(followed)}"
    right = "write `mode: stock`" if SYNOLOGY_ASKS_FOR in followed else "call the UPS `ups`"
    yield (
        ("hosts", name, "system"),
        f"a Synology asks for a UPS called `ups` and hears of no other; {what}: {right}",
    )
