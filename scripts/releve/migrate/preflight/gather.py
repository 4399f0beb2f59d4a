"""Read all hosts that a plan needs, each once, and give each guest its facts."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.migrate.preflight.collect_guest import collect_guest
from releve.migrate.preflight.collect_host import collect_api, collect_host, pinned
from releve.migrate.preflight.collect_other import collect_other
from releve.migrate.preflight.facts import (
    ApiFacts,
    Copies,
    Facts,
    HostFacts,
    PathFacts,
    SourceFacts,
    Together,
)
from releve.migrate.preflight.probe import probe
from releve.migrate.preflight.reader import SshReader
from releve.migrate.preflight.units import MIB
from releve.migrate.preflight.windows import SystemDisk, look_at
from releve.migrate.prepare import kept
from releve.migrate.record import runs_of
from releve.ssh import Ssh
from releve.town.at_source import name_at_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.town import Town

EVIDENCE = Path("build/evidence")
HOUR = 3600


@dataclass(slots=True)
class Gatherer:
    """What was read so far for the guests `names`; nothing is asked twice.

    With `seconds` the way of each guest's bytes is measured for about so long.
    """

    town: Town
    names: Sequence[str]
    seconds: float = 0
    evidence: Path = EVIDENCE
    _old: dict[str, HostFacts] = field(default_factory=dict)
    _nodes: dict[str, HostFacts] = field(default_factory=dict)
    _apis: dict[str, ApiFacts] = field(default_factory=dict)
    _guests: dict[str, tuple[SourceFacts | None, str]] = field(default_factory=dict)

    def facts(self, name: str) -> Facts:
        """Return all that is known of one guest's move."""
        guest = self.town.guests[name]
        source, error = self.guest(name)
        return Facts(
            town=self.town,
            name=name,
            old=self.old(guest.source),
            node=self.node(guest.target),
            api=self.api(guest.target),
            path=self._path(name, source),
            source=source,
            source_error=error,
            together=self._together(guest.target),
            runs=frozenset(runs_of(name)),
            prepared=kept(name),
            copies=copies_of(name, self.evidence, datetime.datetime.now(tz=datetime.UTC)),
        )

    def guest(self, name: str) -> tuple[SourceFacts | None, str]:
        """Return a guest as its old host has it, and why it could not be read."""
        if name not in self._guests:
            guest = self.town.guests[name]
            host = self.old(guest.source)
            kind = self.town.hosts[guest.source].hypervisor
            if host.error:
                self._guests[name] = (None, host.error)
            elif kind != "libvirt" or guest.disks[0].file is not None:
                self._guests[name] = collect_other(self.town, name)
            else:
                ssh = Ssh.to(self.town, guest.source).kept()
                there = name_at_source(self.town, name)
                source, error = collect_guest(ssh, there, sample=self.seconds > 0)
                if source is not None:
                    source = replace(source, systems=systems_of(ssh, source))
                self._guests[name] = source, error
        return self._guests[name]

    def old(self, name: str) -> HostFacts:
        """Return an old host."""
        if name not in self._old:
            self._old[name] = collect_host(Ssh.to(self.town, name).kept(), node=False)
        return self._old[name]

    def node(self, name: str) -> HostFacts:
        """Return a node, with whoever answers for the addresses of the guests that go there."""
        if name not in self._nodes:
            there = [self.town.guests[one] for one in self.names]
            ips = [
                str(nic.address)
                for guest in there
                if guest.target == name
                for nic in guest.nics
                if nic.address
            ]
            ups = [key for key, ups in self.town.ups.items() if ups.host == name]
            self._nodes[name] = collect_host(
                Ssh.to(self.town, name).kept(), node=True, addresses=ips, ups=ups
            )
        return self._nodes[name]

    def api(self, name: str) -> ApiFacts:
        """Return what a node's API tells."""
        if name not in self._apis:
            there = [guest for guest in self.town.guests.values() if guest.target == name]
            storages = sorted({guest.storage for guest in there})
            self._apis[name] = collect_api(
                self.town, name, [guest.vmid for guest in there], storages
            )
        return self._apis[name]

    def _path(self, name: str, source: SourceFacts | None) -> PathFacts:
        guest = self.town.guests[name]
        hosts = {host: str(self.town.hosts[host].address) for host in (guest.source, guest.target)}
        file = self.town.ssh.known_hosts_file
        known = pinned(hosts, str(self.town.path(file)) if file else None)
        if self.seconds <= 0 or source is None or self.node(guest.target).error:
            return PathFacts(pinned=known)
        disk = source.disks[0].file if source.disks else ""
        mine = {self.town.networks[nic.network].bridge for nic in guest.nics}
        mtu = {
            bridge.mtu
            for bridge_name, bridge in self.old(guest.source).bridges.items()
            if bridge_name in mine
        }
        return probe(
            Ssh.to(self.town, guest.source),
            Ssh.to(self.town, guest.target),
            disk,
            self.seconds,
            pinned=known,
            mtu=min(mtu, default=0),
        )

    def _together(self, node: str) -> Together:
        disks: dict[str, int] = {}
        memory = 0
        for name in self.names:
            guest = self.town.guests[name]
            there = self.api(node).guests.get(guest.vmid)
            ours = there is not None and there.run in runs_of(name)
            if guest.target == node and not ours:  # ours has its place there already
                size = sum(disk.size_mib for disk in guest.disks) * MIB
                disks[guest.storage] = disks.get(guest.storage, 0) + size
                memory += guest.memory_mib * MIB
        return Together(disks, memory)


def systems_of(old: Ssh, source: SourceFacts) -> tuple[SystemDisk, ...]:
    """Read what lies on a guest's disks, at its old host."""
    return tuple(
        look_at(
            disk.name,
            SshReader(ssh=old, file=disk.file, format=disk.format, size=disk.size or 0),
        )
        for disk in source.disks
    )


def copies_of(name: str, folder: Path, now: datetime.datetime) -> Copies:
    """Return what the evidence says of a guest's copies."""
    made = [
        str(event.get("at", ""))
        for event in _events(folder / "copy.json")
        if event.get("subject") == name and event.get("what") == "copy sealed"
    ]
    restored = any(
        event.get("subject") == name and event.get("what") == "guest started from its copy"
        for event in _events(folder / "restore.json")
    )
    if not made:
        return Copies()
    newest = max(made)
    age = (now - datetime.datetime.fromisoformat(newest)).total_seconds() / HOUR
    return Copies(newest, age, restored)


def _events(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(content["events"]) if content.get("passed") else []
