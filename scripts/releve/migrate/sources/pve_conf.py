"""Read the file that Proxmox VE keeps of a guest: its sections, keys and comma lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZE_MAX = 2**20  # characters; PVE's own files have some thousands
SECTION = re.compile(r"\[([^\]]*)\]\s*")
SNAPSHOT = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")
SETTING = re.compile(r"([a-z][a-z_-]*[0-9]*):(?:\s+|(?=\S))?(.*?)\s*")
LXC_SETTING = re.compile(r"(lxc\.[\w.-]+)\s*[:=]\s*(.*?)\s*")
CONTAINER_KEYS = re.compile(r"(rootfs|mp\d+|unprivileged|hostname|swap|lxc\..+)")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SLOTS = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
DRIVE = re.compile(r"(ide|sata|scsi|virtio)([0-9]{1,3})")
CLOUDINIT = re.compile(r"(.*[:/-])?cloudinit(\..*)?")
YES = {"1", "on", "yes", "true"}
EFI_BYTES = {"2m": 131_072, "4m": 540_672}  # of OVMF's variables, by `efitype`


@dataclass(slots=True)
class Section:
    """Keys of one section; `repeated` were said before and lost, `odd` are lines of no form."""

    name: str
    keys: dict[str, str] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    lxc: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class PveConf:
    """A guest's file: what holds now (`main`), what holds at the next start, and the rest."""

    main: Section
    pending: Section
    snapshots: dict[str, Section]
    special: dict[str, Section]
    unknown: list[str]
    description: str

    @property
    def container(self) -> bool:
        """Whether it describes a container (LXC) and no virtual machine."""
        machine = any(key in self.main.keys for key in ("scsihw", "smbios1", "bootdisk", "vmgenid"))
        return (not machine and any(map(CONTAINER_KEYS.fullmatch, self.main.keys))) or bool(
            self.main.lxc
        )


def read_conf(text: str, where: str) -> PveConf:
    """Return a guest's file, part by part.

    As in PVE the last of a repeated key wins, comments are the description, and keys below a
    comment still count. Raises InputError, naming `where`, for what is no such file.
    """
    if "\0" in text or len(text) > SIZE_MAX:
        message = f"{where}: this is no guest's file of Proxmox VE: it is binary or too long"
        raise InputError(message)
    conf = PveConf(Section("main"), Section("pending"), {}, {}, [], "")
    section, comments = conf.main, []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip():
            continue
        if line.startswith("#"):
            if section is conf.main:
                comments.append(unquote(line[1:]))
        elif heading := SECTION.fullmatch(line):
            section = _section(conf, heading[1])
        else:
            _setting(section, line, number)
    conf.description = "\n".join(comments)
    if not conf.main.keys and not conf.main.lxc:
        message = f"{where}: this is no guest's file of Proxmox VE: it has no `key: value` line"
        raise InputError(message)
    return conf


def _section(conf: PveConf, name: str) -> Section:
    if name.lower() == "pending":
        return conf.pending
    if name.lower().startswith("special:"):
        return conf.special.setdefault(name.lower(), Section(name))
    if SNAPSHOT.fullmatch(name):
        return conf.snapshots.setdefault(name, Section(name))
    conf.unknown.append(name)
    return Section(name)


def _setting(section: Section, line: str, number: int) -> None:
    if raw := LXC_SETTING.fullmatch(line):
        section.lxc.append((raw[1], raw[2]))
        return
    found = SETTING.fullmatch(line)
    if found is None:
        section.odd.append(f"line {number}: {line.strip()[:60]!r}")
        return
    key, value = found[1], found[2]
    key = "ide2" if key == "cdrom" else key
    if value:
        if key in section.keys:
            section.repeated.append(f"{key} (line {number})")
        section.keys[key] = value


def options(text: str, default: str) -> dict[str, str]:
    """Return a comma list `first,key=value,...`; the first may go without its key, `default`."""
    found: dict[str, str] = {}
    for number, word in enumerate(text.split(",")):
        key, equals, value = word.strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z][\w-]*", key):
            found[key] = value
        elif number == 0:
            found[default] = word.strip()
        elif word.strip():
            found[word.strip()] = ""
    return found


def yes(text: str | None) -> bool:
    """Say whether a switch is on, in any spelling that PVE ever took."""
    return (text or "").lower() in YES


def numbered(keys: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the keys `nameN` in the order of names and numbers."""
    found = []
    for key, value in keys.items():
        match = re.fullmatch(r"([a-z_]+?)([0-9]{1,6})", key)
        if match and match[1] in names:
            found.append((names.index(match[1]), int(match[2]), key, value))
    return {key: value for _, _, key, value in sorted(found)}


def size_of(text: str | None) -> int | None:
    """Return a size such as 32G in bytes; None when it is not said or not understood."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMGT]?)", text or "")
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def integer(text: str | None, fallback: int) -> int:
    """Return a whole number, or `fallback` where there is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,12}", text) else fallback


def is_cdrom(said: dict[str, str]) -> bool:
    """Say whether a drive is a CD-ROM: an ISO without media=cdrom is a disk."""
    return said.get("media") == "cdrom" or said.get("file") in {"cdrom", "none"}


def is_cloudinit(said: dict[str, str]) -> bool:
    """Say whether a drive is the one that cloud-init reads; PVE makes it anew."""
    return bool(CLOUDINIT.fullmatch(said.get("file", "")))


def drives_of(conf: PveConf) -> dict[str, dict[str, str]]:
    """Return the options of each drive in a slot that PVE has."""
    found = numbered(conf.main.keys, *SLOTS)
    return {
        key: options(value, "file")
        for key, value in found.items()
        if (slot := DRIVE.fullmatch(key)) and int(slot[2]) < SLOTS[slot[1]]
    }


def efi_type(text: str) -> str:
    """Return which firmware the EFI variables of a guest's file are for; PVE's default is 2m."""
    said = options(read_conf(text, "guest").main.keys.get("efidisk0", ""), "file")
    return "4m" if said.get("efitype") == "4m" else "2m"
