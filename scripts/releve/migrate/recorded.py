"""Guests of a host that cannot be asked: what people recorded of it in a folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker
from releve.migrate.sources.files import head_of, kind_of, read_or_fault, text_of
from releve.migrate.sources.hyperv import parse_hyperv
from releve.migrate.survey import MIB, DiskSeen, GuestSeen, notes_of, town_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from releve.migrate.sources.domain import DiskFound, Domain

KINDS = {"libvirt-domain", "pve-conf", "vmx", "ovf"}
FILES_MAX = 5000


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder, its subfolders too, in order.

    Raises InputError when there are none, or so many that it must be another folder.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files or len(files) > FILES_MAX:
        message = f"{folder}: {len(files)} files: give the folder of one host's listings"
        raise InputError(message)
    return files


def guests_recorded(
    folder: Path, hypervisor: str, reserved: Iterable[str] = ()
) -> tuple[list[GuestSeen], list[str]]:
    """Return the guests that a folder's files describe, and a sentence per file that is broken."""
    files = files_of(folder)
    if hypervisor == "hyperv":
        found, faults = parse_hyperv(folder)
        running: dict[str, str] = {}
    else:
        found, faults = _described(files)
        running = _states(files)
    sizes = _sizes(files)
    seen: list[GuestSeen] = []
    for domain, state in found:
        key = town_name(domain.name, {*(one.key for one in seen), *reserved})
        seen.append(_seen(key, domain, state or running.get(domain.name, "unknown"), sizes))
    return seen, faults


def _described(files: list[Path]) -> tuple[list[tuple[Domain, str]], list[str]]:
    guests: list[tuple[Domain, str]] = []
    faults = []
    for file in files:
        kind = kind_of(file.name, head_of(file))
        if kind not in KINDS:
            continue
        reading = read_or_fault(file, kind)
        faults += [one.text for one in reading.blockers if one.id == "file-invalid"]
        guests += [(guest, "") for guest in reading.guests]
    return guests, faults


def _states(files: list[Path]) -> dict[str, str]:
    """Return name -> state from `power.txt`: lines `NAME: Powered on`, as the how-to records."""
    states = {}
    for file in files:
        if file.name == "power.txt":
            for line in text_of(head_of(file)).split("\n"):
                name, colon, state = line.rpartition(":")
                if colon:
                    states[name.strip()] = "running" if "on" in state.lower() else "stopped"
    return states


def _sizes(files: list[Path]) -> dict[str, int]:
    """Return the name of each VMDK descriptor -> the size of its disk in bytes."""
    sizes = {}
    for file in files:
        if file.suffix.lower() == ".vmdk":
            capacity = read_or_fault(file, "vmdk").facts.get("capacity_bytes")
            if isinstance(capacity, int):
                sizes[file.name] = capacity
    return sizes


def _seen(key: str, domain: Domain, state: str, sizes: dict[str, int]) -> GuestSeen:
    disks, notes, blockers = [], list(notes_of(domain)), list(domain.blockers)
    for disk in domain.disks:
        size = disk.size or sizes.get(_name(disk))
        if size is None:
            notes.append(f"disk {disk.target}: no size is recorded of {disk.source}")
        disks.append(
            DiskSeen(
                found=disk,
                format=disk.format or "raw",
                size_mib=-(-(size or 0) // MIB),
                allocated_mib=None,
                layers=(disk.source,) if disk.source else (),
            )
        )
    if domain.hypervisor == "esxi":
        blockers += _lost_disks(domain, sizes)
    return GuestSeen(
        key=key,
        domain=domain,
        state=state,
        autostart=False,
        disks=tuple(disks),
        blockers=tuple(dict.fromkeys(blockers)),
        notes=tuple(notes),
    )


def _name(disk: DiskFound) -> str:
    return re.split(r"[/\\\\]", disk.source or "")[-1]


def _lost_disks(domain: Domain, sizes: dict[str, int]) -> list[Blocker]:
    """Return what blocks when other descriptors were recorded and this guest's were not."""
    if not sizes:
        return []
    return [
        Blocker("disk-source-missing", f"disk {disk.target}: {_name(disk)} was not recorded")
        for disk in domain.disks
        if _name(disk) not in sizes
    ]
