"""Counts and plain values of a PVE guest's file, for people and for comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.migrate.sources.pve_conf import (
    drives_of,
    integer,
    is_cdrom,
    is_cloudinit,
    numbered,
    yes,
)

if TYPE_CHECKING:
    from releve.migrate.sources.domain import Domain
    from releve.migrate.sources.pve_conf import PveConf


def pve_facts(conf: PveConf, guest: Domain, vmid: int | None) -> dict[str, Any]:
    """Return what the file says, plainly."""
    keys = conf.main.keys
    facts: dict[str, Any] = {
        "guest": "lxc" if conf.container else "qemu",
        "vmid": vmid,
        "name": keys.get("hostname") if conf.container else keys.get("name"),
        "disks": len(guest.disks),
        "nics": len(guest.nics),
        "snapshots": len(conf.snapshots),
        "tpm": "tpmstate0" in keys,
    }
    if conf.container:
        return facts | {"firmware": None}
    drives = drives_of(conf)
    discs = [said for said in drives.values() if is_cdrom(said) or is_cloudinit(said)]
    counted = {"hostpci": "hostpci", "usb": "usb", "serials": "serial", "unused": "unused"}
    return facts | {
        "cdroms": len(discs),
        "cloudinit": sum(map(is_cloudinit, discs)),
        "firmware": guest.firmware,
        "efidisk": "efidisk0" in keys,
        **{key: len(numbered(keys, name)) for key, name in counted.items()},
        "shares": len(numbered(keys, "virtiofs")),
        "cores": integer(keys.get("cores"), 1),
        "sockets": integer(keys.get("sockets"), 1),
        "memory_mib": guest.memory_mib,
        "machine": guest.machine,
        "cpu": keys.get("cpu"),
        "scsihw": keys.get("scsihw"),
        "agent": guest.agent,
        "template": yes(keys.get("template")),
        "pending": bool(conf.pending.keys),
        "disk_list": [
            {"slot": key, "volume": said.get("file"), "size": said.get("size")}
            | ({"cloudinit": True} if is_cloudinit(said) else {})
            for key, said in _disks_first(drives)
        ],
    }


def _disks_first(drives: dict[str, dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
    """Return the hard disks, then CD-ROMs and cloud-init's drives."""
    return sorted(drives.items(), key=lambda item: is_cdrom(item[1]) or is_cloudinit(item[1]))
