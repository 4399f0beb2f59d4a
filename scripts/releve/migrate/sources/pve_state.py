"""What has to be settled first on an old Proxmox VE, and what a person should know of a guest."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Blocker, Part
from releve.migrate.sources.pve_conf import drives_of, is_cdrom, options, yes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from releve.migrate.sources.domain import DiskFound
    from releve.migrate.sources.pve_conf import PveConf

OWNER = re.compile(r"(?:vm|base|subvol)-([0-9]{1,9})-")


def state_of(conf: PveConf) -> Iterator[Blocker]:
    """Yield what has to be settled first: snapshots, pending changes."""
    if conf.snapshots:
        names = ", ".join(conf.snapshots)
        yield Blocker("snapshot", f"it has snapshots ({names}): delete them")
    parent = conf.main.keys.get("parent")
    if parent and parent not in conf.snapshots:
        text = f"its state hangs on a snapshot {parent} that is not there"
        yield Blocker("snapshot-parent-missing", text)
    if conf.pending.keys:
        said = ", ".join(f"{key}: {value}" for key, value in conf.pending.keys.items())
        text = f"changes wait for its next start ({said}): start it again, or revert them"
        yield Blocker("pending-changes", text)


def together(conf: PveConf, disks: Iterable[DiskFound], vmid: int | None) -> Iterator[Blocker]:
    """Yield what blocks by being there twice, or by being named for another guest."""
    volumes = Counter(disk.source for disk in disks if disk.source)
    for volume, count in volumes.items():
        if count > 1:
            yield Blocker("disk-duplicate-volume", f"{volume} stands in {count} slots")
    if vmid is None:
        return
    keys = conf.main.keys
    named = {
        key: options(keys[key], "file").get("file", "")
        for key in (*drives_of(conf), "efidisk0", "tpmstate0")
        if key in keys
    }
    for key, volume in named.items():
        owner = OWNER.search(volume.rpartition("/")[2].rpartition(":")[2])
        if owner and int(owner[1]) != vmid and not volume.startswith("/"):
            text = f"{key}: {volume} is named for guest {owner[1]}, not for {vmid}"
            yield Blocker("disk-foreign-volume", text)


def odd_parts(conf: PveConf) -> Iterator[Part]:
    """Yield lines and sections that PVE passes over; they are said all the same."""
    for section in (conf.main, *conf.special.values()):
        for line in section.odd:
            yield Part("a line", "dropped", f"{line} is no setting; PVE passes over it")
        for key in section.repeated:
            yield Part("a line", "dropped", f"{key} stands there again; the last one holds")
    for name in dict.fromkeys(conf.unknown):
        yield Part(f"[{name}]", "dropped", "a section that PVE passes over")
    for name, section in conf.special.items():
        said = ", ".join(f"{key}: {value}" for key, value in section.keys.items())
        yield Part(f"[{name}]", "dropped", f"PVE's own notes ({said})")


def notes_of(conf: PveConf) -> Iterator[str]:
    """Yield what a person should know of a guest's settings."""
    keys = conf.main.keys
    if keys.get("bios") == "ovmf" and "efidisk0" not in keys:
        yield "UEFI without an EFI disk: its variables were never kept"
    efi = options(keys.get("efidisk0", ""), "file")
    if "efidisk0" in keys and "efitype" not in efi:
        yield "its EFI disk says no efitype: it has the old size, 2m"
    if yes(keys.get("template")):
        yield "it is a template: it never runs"
    machine = options(keys.get("machine", ""), "type").get("type") or "pc"
    meta = options(keys.get("meta", ""), "creation-qemu").get("creation-qemu")
    if not re.search(r"\d", machine):
        made = f" (made with QEMU {meta})" if meta else ""
        yield f"machine {machine} pins no version{made}: it follows the host's QEMU at each start"
    yield from _drive_notes(conf)
    yield from _boot_notes(conf)
    if not yes(keys.get("kvm", "1")):
        yield "it runs without KVM on the old host"
    if conf.description.strip():
        yield f"its description: {' '.join(conf.description.split())[:200]}"


def _drive_notes(conf: PveConf) -> Iterator[str]:
    for key, said in drives_of(conf).items():
        if said.get("backup") in {"0", "no", "off"} and not is_cdrom(said):
            yield f"{key} is left out of backups (backup={said['backup']}); it moves all the same"
        if said.get("cache") == "unsafe":
            yield f"{key} loses writes in a crash (cache=unsafe)"
        if not is_cdrom(said) and "size" not in said:
            yield f"{key} does not say its size"
        if "/base-" in f"/{said.get('file', '')}".replace(":", "/") and "/vm-" in said["file"]:
            yield f"{key} is a linked clone: it moves with what it stands on"


def _boot_notes(conf: PveConf) -> Iterator[str]:
    keys = conf.main.keys
    order = options(keys.get("boot", ""), "legacy").get("order", "").split(";")
    if lost := [word for word in order if word and word not in drives_of(conf)]:
        yield f"boot order: {', '.join(lost)} are no disks and are not carried over"
    elif lost := [word for word in order if word and is_cdrom(drives_of(conf)[word])]:
        yield f"boot order: the CD-ROM {', '.join(lost)} is not carried over"
