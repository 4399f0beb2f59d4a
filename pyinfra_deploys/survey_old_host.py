"""Look at an old host and write what it says to the file `survey_file`; it stays as it is.

No operation is run: the facts are read over ssh with a POSIX shell, `qemu-img`, and the host's own
`virsh -r` (libvirt) or `qm`, `pct` and `pvesm` (Proxmox VE).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra.context import host
from pyinfra_deploys.facts.fingerprint import HostFingerprint
from pyinfra_deploys.facts.libvirt import (
    DiskChain,
    DomainDefinition,
    DomainNames,
    DomainState,
    LibvirtVersion,
)
from pyinfra_deploys.facts.pve import PveGuests, PveStates, PveVersion, PveVolumePath

from releve.errors import InputError
from releve.migrate.sources.domain import DiskFound, Domain
from releve.migrate.sources.libvirt import parse_domain
from releve.migrate.sources.pve_guest import parse_conf

HYPERVISOR = host.data.get("hypervisor", "libvirt")


def read_libvirt() -> dict[str, Any]:
    """Return the guests of libvirt and what is behind their disks."""
    domains, disks = [], {}
    for name in host.get_fact(DomainNames):
        xml = host.get_fact(DomainDefinition, domain=name)
        state = host.get_fact(DomainState, domain=name)
        domains.append({"name": name, "definition": xml, **state})
        for disk in disks_of(parse_domain, xml, name):
            if disk.source and disk.type in {"file", "block"}:
                disks[disk.source] = host.get_fact(
                    DiskChain, path=disk.source, format_=disk.format or "raw"
                )
    return {"versions": host.get_fact(LibvirtVersion), "domains": domains, "disks": disks}


def read_pve() -> dict[str, Any]:
    """Return the guests of Proxmox VE, containers too, and what is behind their volumes."""
    domains, disks = [], {}
    states = host.get_fact(PveStates)
    for file in host.get_fact(PveGuests):
        vmid, text = file["vmid"], file["text"]
        found = re.search(r"(?m)^(?:host)?name: *(\S+)", text)
        domains.append(
            {
                "name": found[1] if found else f"vm{vmid}",
                "kind": "pve-conf",
                "vmid": vmid,
                "definition": text,
                "state": states.get(vmid, "unknown"),
                "autostart": "\nonboot: 1" in f"\n{text.partition(chr(10) + '[')[0]}",
                "snapshots": [],
            }
        )
        for disk in disks_of(parse_conf, text, f"{vmid}.conf"):
            if disk.source and file["folder"] == "qemu-server":
                disks[disk.source] = read_volume(disk.source, disk.format or "raw")
    return {"versions": host.get_fact(PveVersion), "domains": domains, "disks": disks}


def disks_of(
    parse: Callable[[str, str], Domain], definition: str, where: str
) -> tuple[DiskFound, ...]:
    """Return a guest's disks; none of one whose definition is broken, which is said later."""
    try:
        return parse(definition, where).disks
    except InputError:
        return ()


def read_volume(volume: str, format_: str) -> dict[str, Any]:
    """Return where a volume is and its chain, or why that cannot be told."""
    path = volume if volume.startswith("/") else host.get_fact(PveVolumePath, volume=volume)
    if not path:
        return {"error": "PVE's storage does not know it"}
    if not path.startswith("/"):
        return {"path": path}
    chain: dict[str, Any] = host.get_fact(DiskChain, path=path, format_=format_)
    return {"path": path, **chain}


before = host.get_fact(HostFingerprint, moment="before", hypervisor=HYPERVISOR)
content = {
    "host": host.name,
    **(read_pve() if HYPERVISOR == "pve" else read_libvirt()),
    "before": before,
    "after": host.get_fact(HostFingerprint, moment="after", hypervisor=HYPERVISOR),
}
Path(host.data.survey_file).write_text(json.dumps(content, indent=1), encoding="utf-8")
