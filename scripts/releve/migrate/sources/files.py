"""Read any file that describes guests, disks or networks; what kind it is follows from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker
from releve.migrate.sources.interfaces import (
    network_blockers,
    network_facts,
    network_notes,
    read_interfaces,
)
from releve.migrate.sources.ip_json import ip_facts, ip_notes, read_ip
from releve.migrate.sources.libvirt import parse_root
from releve.migrate.sources.libvirt_facts import libvirt_facts
from releve.migrate.sources.ovf import ovf_facts, parse_ovf
from releve.migrate.sources.pve_conf import read_conf
from releve.migrate.sources.pve_facts import pve_facts
from releve.migrate.sources.pve_guest import guest_of
from releve.migrate.sources.reading import FileReading
from releve.migrate.sources.vmdk import read_vmdk, vmdk_blockers, vmdk_facts, vmdk_notes
from releve.migrate.sources.vmx import read_vmx, vmx_facts, vmx_guest
from releve.migrate.sources.xmltree import read_xml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.migrate.sources.domain import Domain

SIZE_MAX = 8 * 2**20  # bytes


def read_file(file: Path, kind: str | None = None, vmid: int | None = None) -> FileReading:
    """Return what a file says; `kind` and `vmid` follow from its name and text when not given.

    Raises InputError, one sentence that names the file, when it cannot be read.
    """
    name = file.name
    try:
        content = head_of(file, SIZE_MAX)
    except OSError as error:
        message = f"{name}: it cannot be read: {error.strerror}"
        raise InputError(message) from None
    kind = kind or kind_of(name, content)
    if kind not in READERS:
        message = f"{name}: it is of no kind that a survey reads"
        raise InputError(message)
    if vmid is None and re.fullmatch(r"[0-9]{1,9}\.conf", name):
        vmid = int(file.stem)
    try:
        return READERS[kind](content, name, vmid)
    except RecursionError:
        message = f"{name}: its parts are nested too deep"
        raise InputError(message) from None


def head_of(file: Path, size: int = 65536) -> bytes:
    """Return the first bytes of a file, which may be a whole disk."""
    with file.open("rb") as stream:
        return stream.read(size)


def read_or_fault(file: Path, kind: str | None = None, vmid: int | None = None) -> FileReading:
    """Return what a file says; one that cannot be read is blocked by `file-invalid`, with why."""
    try:
        return read_file(file, kind, vmid)
    except InputError as error:
        fault = Blocker("file-invalid", str(error))
        return FileReading(file.name, kind or "unknown", {}, (fault,))


SUFFIXES = {
    "xml": "libvirt-domain",
    "conf": "pve-conf",
    "vmx": "vmx",
    "ovf": "ovf",
    "vmdk": "vmdk",
    "eni": "interfaces",
    "interfaces": "interfaces",
}


SIGNS = {
    "ip-json": r'(?s)\A[\[{].*"ifname"',
    "vmx": r"(?im)^\s*(config\.version|virtualhw\.version)\s*=",
    "interfaces": r"(?m)^\s*(iface\s+\S+|auto\s+\S+|source(-directory)?\s+\S+)",
}


def kind_of(name: str, content: bytes) -> str | None:
    """Return the kind of a file by how it begins, then by its name's end; None when unknown."""
    head = content[:65536]
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    suffix = name.rpartition(".")[2].lower()
    if head[:4] in {b"KDMV", b"COWD"} or "# Disk DescriptorFile" in text[:200]:
        return "vmdk"
    if text.startswith("<"):
        return "ovf" if re.search(r"<([\w-]+:)?Envelope[\s>]", text) else "libvirt-domain"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    return next((kind for kind, pattern in SIGNS.items() if re.search(pattern, text)), None)


def text_of(content: bytes) -> str:
    """Return a file's text; bytes that are none become a replacement sign."""
    return content.decode("utf-8-sig", "replace")


def _libvirt(content: bytes, name: str, _vmid: int | None) -> FileReading:
    root = read_xml(text_of(content), name)
    element, guest = parse_root(root, name)
    return _one(name, "libvirt-domain", guest, libvirt_facts(root, element, guest))


def _pve(content: bytes, name: str, vmid: int | None) -> FileReading:
    conf = read_conf(text_of(content), name)
    guest = guest_of(conf, name, vmid)
    return _one(name, "pve-conf", guest, pve_facts(conf, guest, vmid))


def _vmx(content: bytes, name: str, _vmid: int | None) -> FileReading:
    vmx = read_vmx(content, name)
    guest, found = vmx_guest(vmx, name)
    return _one(name, "vmx", guest, vmx_facts(vmx, guest, found))


def _ovf(content: bytes, name: str, _vmid: int | None) -> FileReading:
    envelope = parse_ovf(text_of(content), name)
    guests = tuple(guest for guest, _ in envelope.guests)
    found = [*envelope.blockers, *(one for guest in guests for one in guest.blockers)]
    notes = tuple(dict.fromkeys(note for guest in guests for note in guest.notes))
    blockers = tuple(dict.fromkeys(found))
    return FileReading(name, "ovf", ovf_facts(envelope), blockers, notes, guests)


def _vmdk(content: bytes, name: str, _vmid: int | None) -> FileReading:
    disk = read_vmdk(content, name)
    notes = tuple(vmdk_notes(disk))
    return FileReading(name, "vmdk", vmdk_facts(disk), tuple(vmdk_blockers(disk)), notes)


def _interfaces(content: bytes, name: str, _vmid: int | None) -> FileReading:
    network = read_interfaces(text_of(content), name)
    blockers = tuple(dict.fromkeys(network_blockers(network)))
    notes = tuple(network_notes(network))
    return FileReading(name, "interfaces", network_facts(network), blockers, notes)


def _ip(content: bytes, name: str, _vmid: int | None) -> FileReading:
    links = read_ip(text_of(content), name)
    return FileReading(name, "ip-json", ip_facts(links), (), tuple(ip_notes(links)))


def _one(name: str, kind: str, guest: Domain, facts: dict[str, object]) -> FileReading:
    return FileReading(name, kind, facts, guest.blockers, guest.notes, (guest,))


READERS: dict[str, Callable[[bytes, str, int | None], FileReading]] = {
    "libvirt-domain": _libvirt,
    "pve-conf": _pve,
    "vmx": _vmx,
    "ovf": _ovf,
    "vmdk": _vmdk,
    "interfaces": _interfaces,
    "ip-json": _ip,
}
