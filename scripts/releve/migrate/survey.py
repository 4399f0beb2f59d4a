"""What was read on an old host becomes guests of a town file; pure, nothing here reaches a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from releve.errors import InputError
from releve.migrate.identity import identity_notes
from releve.migrate.sources.domain import Blocker, unreadable
from releve.migrate.sources.libvirt import parse_domain
from releve.migrate.sources.pve_guest import parse_conf
from releve.town.fields import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from releve.migrate.sources.domain import DiskFound, Domain

MIB = 2**20
# How PVE names volumes that no file or block device of the host shows.
NETWORK_PATH = re.compile(r"(rbd|iscsi|gluster|nfs|nbd|http|https|ssh):")


class _Reading(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layer(BaseModel):
    """One file of a disk's chain, as `qemu-img info --output=json` tells it (sizes in bytes)."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=lambda n: n.replace("_", "-")
    )
    filename: str
    format: str
    virtual_size: int
    actual_size: int | None = None
    encrypted: bool = False
    snapshots: tuple[dict[str, Any], ...] = ()


class DiskReading(_Reading):
    """A disk's chain from the top down, or why it could not be read; `path` where PVE has it."""

    chain: tuple[Layer, ...] = ()
    error: str = ""
    path: str = ""


class DomainReading(_Reading):
    """One guest as the host tells it: `definition` is libvirt's XML, or PVE's file of `vmid`."""

    name: str
    kind: Literal["libvirt-domain", "pve-conf"] = "libvirt-domain"
    vmid: int | None = None
    definition: str
    state: str
    autostart: bool
    snapshots: tuple[str, ...]


class HostReading(_Reading):
    """All that `pyinfra_deploys/survey_old_host.py` wrote about one host."""

    host: str
    versions: tuple[str, ...]
    domains: tuple[DomainReading, ...]
    disks: dict[str, DiskReading]
    before: dict[str, tuple[str, ...]]
    after: dict[str, tuple[str, ...]]

    def changed(self, section: str) -> tuple[str, ...]:
        """Return the lines of one section that are not the same before and after."""
        before, after = self.before.get(section, ()), self.after.get(section, ())
        return tuple(sorted({*before} ^ {*after}))


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """A disk of a guest with what is behind it; sizes in MiB, the virtual one rounded up."""

    found: DiskFound
    format: str
    size_mib: int
    allocated_mib: int | None
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuestSeen:
    """One guest with its state, its disks and all that stands in the way of a move."""

    key: str
    domain: Domain
    state: str
    autostart: bool
    disks: tuple[DiskSeen, ...]
    blockers: tuple[Blocker, ...]
    notes: tuple[str, ...]
    vmid: int | None = None

    @property
    def container(self) -> bool:
        """Whether it is a container, which moves by a backup and a restore."""
        return self.domain.hypervisor == "lxc"

    @property
    def broken(self) -> str | None:
        """Why its definition cannot be read; None when it can."""
        return next((one.text for one in self.blockers if one.id == "file-invalid"), None)


def read_survey(file: Path) -> HostReading:
    """Return what was written about a host; raises InputError when it is not that."""
    try:
        return HostReading.model_validate_json(file.read_bytes())
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}; survey the host first"
        raise InputError(message) from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole file"
        message = f"{file}: {where}: {error.errors()[0]['msg']}; survey the host again"
        raise InputError(message) from None


def guests_seen(reading: HostReading, reserved: Iterable[str] = ()) -> list[GuestSeen]:
    """Return the guests of a host, as read; no guest is renamed to a `reserved` name."""
    keys: list[str] = []
    for one in reading.domains:
        keys.append(town_name(one.name, {*keys, *reserved}))
    parsed = [(one, _parse(one)) for one in reading.domains]
    users: dict[str, list[str]] = {}
    for one, domain in parsed:
        for disk in domain.disks:
            for path in {disk.source or "", *_paths(disk, reading)} - {""}:
                users.setdefault(path, []).append(one.name)
    return [
        _seen(key, one, domain, reading, users)
        for key, (one, domain) in zip(keys, parsed, strict=True)
    ]


def _parse(one: DomainReading) -> Domain:
    """Return a guest; one whose definition is broken blocks alone, and the others are read."""
    try:
        if one.kind == "pve-conf":
            return parse_conf(one.definition, one.name, one.vmid)
        return parse_domain(one.definition, one.name)
    except InputError as error:
        return unreadable(one.name, "pve" if one.kind == "pve-conf" else "qemu", str(error))


def town_name(name: str, taken: Iterable[str]) -> str:
    """Return a name that a town file takes: the guest's own when it can be, else close to it."""
    if re.fullmatch(NAME_PATTERN, name):
        return name
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:28] or "guest"
    base = base if base[0].isalpha() else f"g-{base}"[:28]
    base, number, taken = base.rstrip("-"), 1, set(taken)
    while (key := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return key


def _paths(disk: DiskFound, reading: HostReading) -> list[str]:
    known = reading.disks.get(disk.source or "")
    return [layer.filename for layer in known.chain] if known else []


def _seen(
    key: str,
    one: DomainReading,
    domain: Domain,
    reading: HostReading,
    users: dict[str, list[str]],
) -> GuestSeen:
    disks, blockers, notes = [], list(domain.blockers), list(notes_of(domain))
    for disk in domain.disks:
        known = reading.disks.get(disk.source or "", DiskReading())
        if disk.source and known.error:
            text = f"{disk.source} cannot be read: {' '.join(known.error.split())}"
            if disk.size is None:
                blockers.append(Blocker("disk-unreadable", text))
            else:
                notes.append(f"{text}; its size is as the guest's file says")
        if network := NETWORK_PATH.match(known.path):
            text = f"{disk.source} is network storage ({known.path.partition(':')[0]})"
            blockers.append(Blocker(f"disk-network-{network[1]}", text))
        if any(layer.encrypted for layer in known.chain):
            blockers.append(Blocker("disk-encrypted", f"{disk.source} is encrypted"))
        if any(layer.snapshots for layer in known.chain):
            blockers.append(Blocker("snapshot", f"{disk.source} holds snapshots"))
        for path in {disk.source or "", *_paths(disk, reading)}:
            others = sorted({*users.get(path, ())} - {one.name})
            if others:
                text = f"{path} is used by {', '.join(others)} too"
                blockers.append(Blocker("disk-duplicate-volume", text))
        disks.append(_disk_seen(disk, known))
    if one.snapshots:
        text = f"it has snapshots ({', '.join(one.snapshots)}): merge or delete them"
        blockers.append(Blocker("snapshot", text))
    return GuestSeen(
        key=key,
        domain=domain,
        state=one.state,
        autostart=one.autostart,
        disks=tuple(disks),
        blockers=tuple(dict.fromkeys(blockers)),
        notes=tuple(notes),
        vmid=one.vmid,
    )


def _disk_seen(disk: DiskFound, known: DiskReading) -> DiskSeen:
    top = known.chain[0] if known.chain else None
    allocated = [layer.actual_size for layer in known.chain if layer.actual_size is not None]
    return DiskSeen(
        found=disk,
        format=disk.format or (top.format if top else "raw"),
        size_mib=-(-(top.virtual_size if top else disk.size or 0) // MIB),
        allocated_mib=-(-sum(allocated) // MIB) if allocated else None,
        layers=tuple(layer.filename for layer in known.chain),
    )


def notes_of(domain: Domain) -> Iterable[str]:
    """Yield what a person should know and what is not carried over as it is."""
    if not domain.acpi:
        yield "it has no ACPI, so no power button: it has to be shut down from inside"
    if not domain.agent:
        yield "it has no guest agent's channel"
    if domain.secure_boot:
        yield "it starts with Secure Boot: the keys are in its UEFI variables"
    if domain.clock == "localtime":
        yield "its clock is in local time"
    for nic in domain.nics:
        if nic.vlans:
            yield f"network card {nic.mac} carries VLAN {', '.join(map(str, nic.vlans))}"
    for disk in domain.disks:
        if disk.readonly:
            yield f"disk {disk.target} is read-only"
    yield from domain.notes
    yield from identity_notes(domain)
    for fate in ("mapped", "replaced", "dropped"):
        parts = [part for part in domain.parts if part.fate == fate and part.text]
        said = dict.fromkeys(f"{part.what} ({part.text})" for part in parts)
        if said:
            yield f"{fate}: {', '.join(said)}"
