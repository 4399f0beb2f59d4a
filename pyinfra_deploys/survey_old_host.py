"""Look at an old libvirt host and write what it says to the file `survey_file`; it stays as it is.

No operation is run: the facts are read over ssh with a POSIX shell, `virsh -r` and `qemu-img`.
"""

import json
from pathlib import Path

from pyinfra.context import host
from pyinfra_deploys.facts.fingerprint import HostFingerprint
from pyinfra_deploys.facts.libvirt import (
    DiskChain,
    DomainDefinition,
    DomainNames,
    DomainState,
    LibvirtVersion,
)

from releve.migrate.sources.libvirt import parse_domain

before = host.get_fact(HostFingerprint, moment="before")
domains = []
disks = {}
for name in host.get_fact(DomainNames):
    xml = host.get_fact(DomainDefinition, domain=name)
    state = host.get_fact(DomainState, domain=name)
    domains.append({"name": name, "xml": xml, **state})
    for disk in parse_domain(xml, name).disks:
        if disk.source and disk.type in {"file", "block"}:
            disks[disk.source] = host.get_fact(
                DiskChain, path=disk.source, format_=disk.format or "raw"
            )
content = {
    "host": host.name,
    "versions": host.get_fact(LibvirtVersion),
    "domains": domains,
    "disks": disks,
    "before": before,
    "after": host.get_fact(HostFingerprint, moment="after"),
}
Path(host.data.survey_file).write_text(json.dumps(content, indent=1), encoding="utf-8")
