"""The site that a world has: hosts, their guests, the UPS, and what is written to each disk."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.worlds.role import File, RoleRun
from tests.worlds.switch import BROADCAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from releve.lab.ups.world import Behaviour

Mode = Literal["plain", "stock", "policy"]
UPS = "ups1"
PASSWORDS = {"primary": "of-the-worlds-primary", "secondary": "of-the-worlds-secondary"}


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest of a Proxmox VE host; it takes `takes` seconds to stop, by force after `down`."""

    name: str
    order: int
    takes: float
    down: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host: `monitor_delay` puts its upsmon's polls into another phase; `hangs`: never stops."""

    name: str
    address: str
    mac: str
    guests: tuple[Guest, ...] = ()
    stop_seconds: int = 1
    monitor_delay: float = 0.0
    hangs: bool = False
    wakes: bool = True
    fed_by: tuple[str, ...] = ()  # the UPSes that feed it, when not all of them do
    own_device: str = ""  # an ups.conf that somebody left on a client
    last_file: str = ""  # the role was interrupted when it had written this one
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """Hosts, of which one has the cable of the UPS, and what the roles are told about them.

    With several UPSes, each feeds every host by a supply of its own, and one supply is enough.
    `capacity` is what the battery really carries at full load, `measured` what the town file says;
    `low_battery` is where the UPS itself says LB. All times are seconds. `tiers`: those of each UPS
    in mode policy, as the role takes them; other modes know none.
    """

    hosts: tuple[Host, ...]
    primary: str
    ups: tuple[str, ...] = (UPS,)
    mode: Mode = "stock"
    capacity: float = 60
    measured: int = 60
    low_battery: float = 36
    behaviour: Behaviour = "cyc"
    tiers: tuple[Mapping[str, Any], ...] = ({"name": "edge", "hosts": ["gw"]},)
    switch_fed_by: str = ""  # what the town file says; nothing: no switch between the hosts
    lies: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)
    primary_variables: Mapping[str, Any] = field(default_factory=dict)
    secondary_variables: Mapping[str, Any] = field(default_factory=dict)

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.hosts if host.name == name)

    @property
    def addresses(self) -> dict[str, str]:
        """Each host's address."""
        return {host.name: host.address for host in self.hosts}

    @property
    def poll_seconds(self) -> float:
        """How often the slowest monitor polls."""
        primary = {**SHORT_PRIMARY, **self.primary_variables}["nut_primary_pollfreq"]
        secondary = {**SHORT_SECONDARY, **self.secondary_variables}["nut_secondary_pollfreq"]
        return float(max(primary, secondary))

    def tiers_of(self, ups: str) -> list[dict[str, Any]]:
        """Return the tiers of a UPS: those whose hosts it feeds."""
        fed = {host.name for host in self.hosts if ups in (host.fed_by or self.ups)}
        return [dict(tier) for tier in self.tiers if set(tier["hosts"]) <= fed]

    def followed(self, host: str) -> list[str]:
        """Return the names of the UPSes that a host monitors; the primary's are all there are."""
        each = self.host(host).fed_by or self.ups
        return [name for ups in each for name in self._names(ups, host)]

    def _names(self, ups: str, host: str) -> list[str]:
        if self.mode != "policy":
            return [ups]
        tiers = self.tiers_of(ups)
        if host == self.primary:
            return [f"{ups}-site", *(f"{ups}-{tier['name']}" for tier in tiers)]
        own = [tier["name"] for tier in tiers if host in tier["hosts"]]
        return [f"{ups}-{tier}" for tier in own or ["site"]]


WRITTEN: dict[str, list[File]] = {}  # many worlds have the same hosts, and a role takes its time
# What plain stock NUT has not: own thresholds, the timer of the time on battery, the last wait.
OURS = re.compile(r"\s*(ignorelb|override\.|POWEROFF_WAIT|NOTIFYCMD|SHUTDOWNEXIT)")
# Delays of a lab: the roles' own are in minutes. Everything else is a role's default.
SHORT_DEVICE: Mapping[str, Any] = {
    "driver": "labups",
    "measured_alone": True,
    "offdelay": 3,
    "ondelay": 4,
}
SHORT_PRIMARY: Mapping[str, Any] = {
    "nut_primary_broadcast": BROADCAST,
    "nut_primary_password": PASSWORDS["primary"],
    "nut_primary_secondary_password": PASSWORDS["secondary"],
    # Keys are made on a host by what the worlds' image lacks; Molecule tries TLS.
    "nut_primary_tls": False,
    "nut_primary_commissioning_seconds": 8,
    "nut_primary_ride_through_seconds": 5,
    "nut_primary_driver_poll": 1,
    "nut_primary_pollfreq": 2,
    "nut_primary_pollfreqalert": 1,
    "nut_primary_hostsync": 8,
    "nut_primary_margin": 1.15,  # a battery of a minute has no room for more
    "nut_primary_finaldelay": 1,
    "nut_primary_poweroff_wait_seconds": 8,
    "nut_primary_boot_gate_seconds": 15,
    "nut_primary_policy_proved": True,
    "nut_primary_policy_debounce_seconds": 4,
    "nut_primary_policy_silence_seconds": 8,
    "nut_primary_policy_alarm_seconds": 30,
    "nut_primary_rewake_settle": 3,
    "nut_primary_rewake_grace": 6,
    "nut_primary_rewake_retry": 4,
    "nut_primary_rewake_quiet": 6,
    "nut_primary_rewake_min_charge": 20,
    "nut_primary_rewake_charge_wait": 12,
}
SHORT_SECONDARY: Mapping[str, Any] = {
    "nut_secondary_password": PASSWORDS["secondary"],
    "nut_secondary_tls": False,
    "nut_secondary_boot_gate_seconds": 15,
    "nut_secondary_pollfreq": 2,
    "nut_secondary_pollfreqalert": 1,
    "nut_secondary_finaldelay": 1,
}


def files_of(site: Site, host: Host) -> list[File]:
    """Return what is on a host's disk; raises RefusedError as the roles' preflights do."""
    asked = repr((site, host))
    if asked not in WRITTEN:
        WRITTEN[asked] = _files_of(site, host)
    return WRITTEN[asked]


def _files_of(site: Site, host: Host) -> list[File]:
    files = _role_files(site, host)
    if host.last_file:
        files = _until(host.last_file, files if site.mode != "plain" else reversed(files))
    return plain(files) if site.mode == "plain" else files


def _until(path: str, files: Iterable[File]) -> list[File]:
    """Return what is written when `path` is the last one; plain NUT has the other order."""
    kept: list[File] = []
    for file in files:
        kept.append(file)
        if file.path == path:
            break
    return kept


def plain(files: Iterable[File]) -> list[File]:
    """Return stock NUT as others set it up: the roles' files without what is ours."""
    kept = []
    for file in files:
        ours = not file.path.startswith("/etc/nut/") or file.path.endswith("upssched.conf")
        if not file.folder and not ours:
            lines = file.data.decode().splitlines(keepends=True)
            text = "".join(line for line in lines if not OURS.match(line))
            kept.append(dataclasses.replace(file, data=text.encode()))
    return kept


def variables_of(site: Site, host: Host) -> dict[str, Any]:
    """Return what the role of a host is told: nut_primary's, or nut_secondary's."""
    if host.name == site.primary:
        return _primary_variables(site, host)
    server = site.host(site.primary)
    monitors = [
        {"ups": ups, "server": server.address, "host": server.name, "supplies": 1}
        for ups in site.followed(host.name)
    ]
    return {
        **SHORT_SECONDARY,
        "nut_secondary_monitors": monitors,
        "nut_secondary_address": host.address,
        **site.secondary_variables,
        **host.variables,
    }


def _role_files(site: Site, host: Host) -> list[File]:
    unit = {"stdout": "pve-guests.service" if host.guests else ""}
    variables = variables_of(site, host)
    if host.name == site.primary:
        return RoleRun("nut_primary", variables, {"__nut_primary_guests_unit": unit}).run()
    device = {"stat": {"exists": bool(host.own_device)}}
    text = {"content": base64.b64encode(host.own_device.encode()).decode()}
    seen = {
        "__nut_secondary_guests_unit": unit,
        "__nut_secondary_device": device,
        "__nut_secondary_device_text": text,
    }
    return RoleRun("nut_secondary", variables, seen).run()


def _primary_variables(site: Site, host: Host) -> dict[str, Any]:
    device = {**SHORT_DEVICE, "capacity_seconds": site.measured, **site.device}
    devices = [{**device, "name": ups, "port": ups} for ups in site.ups]
    if site.mode == "policy":
        for one in devices:
            one |= {"mode": "policy", "tiers": site.tiers_of(one["name"])}
    clients = [one for one in site.hosts if one.name != site.primary]
    return {
        **SHORT_PRIMARY,
        "nut_primary_devices": devices,
        "nut_primary_addresses": [host.address],
        "nut_primary_stop_seconds": host.stop_seconds,
        "nut_primary_guests": _guests(host),
        "nut_primary_clients": [
            {
                "name": one.name,
                "address": one.address,
                "mac": one.mac,
                "stop_seconds": one.stop_seconds,
                "logs_in": True,
                "devices": list(one.fed_by or site.ups),
                "paths": [_path(site)],
                "guests": _guests(one),
            }
            for one in clients
        ],
        **site.primary_variables,
        **host.variables,
    }


def _path(site: Site) -> dict[str, str | None]:
    if site.switch_fed_by:
        return {"via": "switch", "powered_by": site.switch_fed_by}
    return {"via": "cable", "powered_by": None}


def _guests(host: Host) -> list[dict[str, Any]]:
    return [
        {"name": guest.name, "order": guest.order, "stop_seconds": guest.down, "kind": "plain"}
        for guest in host.guests
    ]


def write_disk(upper: Path, root: Path, files: Iterable[File]) -> None:
    """Write files into the upper layer of a host's disk, above the image's `root`."""
    users, groups = _numbers(root / "etc/passwd"), _numbers(root / "etc/group")
    for file in files:
        target = upper / file.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.folder:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(file.data)
        os.chown(target, users[file.owner], groups[file.group])
        target.chmod(file.mode)


def _numbers(file: Path) -> dict[str, int]:
    lines = [line.split(":") for line in file.read_text(encoding="utf-8").splitlines()]
    return {words[0]: int(words[2]) for words in lines}
