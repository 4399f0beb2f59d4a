"""The guest at its libvirt host, as it is now, and the monitor of its QEMU through `virsh`."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.blocks.qmp import arguments_of
from releve.command import CommandError
from releve.migrate.errors import MigrateError
from releve.migrate.sources.base import SourceDisk, SourceGuest

if TYPE_CHECKING:
    from releve.ssh import Ssh

__all__ = ["SourceDisk", "SourceGuest", "Virsh", "find", "look", "parse"]

_LOOK = """\
export LC_ALL=C
virsh -q dumpxml --inactive --security-info {name} || exit 3
printf '\\0'
virsh -q dumpxml {name}
printf '\\0'
virsh -q domstate {name}
printf '\\0'
virsh -q dominfo {name}
printf '\\0'
virsh -q snapshot-list --name {name}
printf '\\0'
pid=$(cat /run/libvirt/qemu/{name}.pid 2>/dev/null) && stat -c %u "/proc/$pid"
exit 0
"""


def look(ssh: Ssh, name: str) -> SourceGuest | None:
    """Return the guest as its host has it; None when the host does not know it."""
    try:
        said = ssh.run(_LOOK.format(name=shlex.quote(name))).stdout
    except CommandError as error:
        if "failed to get domain" in str(error) or "Domain not found" in str(error):
            return None
        raise
    return parse(name, said)


def parse(name: str, said: str) -> SourceGuest:
    """Build the guest from what virsh printed, part by part."""
    definition, live, state, info, snapshots, owner = said.split("\0")
    inactive = ET.fromstring(definition)  # noqa: S314  # written by the host's own libvirt
    active = ET.fromstring(live or definition)  # noqa: S314  # as above
    pairs = (line.partition(":") for line in info.splitlines())
    fields = {key.strip(): value.strip() for key, _colon, value in pairs}
    return SourceGuest(
        name=name,
        uuid=inactive.findtext("uuid", ""),
        id=int(fields["Id"]) if fields.get("Id", "-").isdigit() else None,
        state=state.strip(),
        autostart=fields.get("Autostart") == "enable",
        managed_save=fields.get("Managed save") == "yes",
        snapshots=tuple(snapshots.split()),
        definition=definition,
        disks=tuple(_disks(active)),
        macs=tuple(mac.get("address", "") for mac in inactive.iterfind("devices/interface/mac")),
        nvram=active.findtext("os/nvram"),
        devices=tuple(sorted({child.tag for child in inactive.iterfind("devices/*")})),
        owner=int(owner) if owner.strip() else None,
    )


def _disks(domain: ET.Element) -> list[SourceDisk]:
    disks = []
    for disk in domain.iterfind("devices/disk"):
        source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
        alias = disk.find("alias")
        if disk.get("device", "disk") != "disk" or target is None:
            continue
        place = "" if source is None else source.get("file") or source.get("dev") or ""
        disks.append(
            SourceDisk(
                name=target.get("dev", ""),
                alias="" if alias is None else alias.get("name", ""),
                format="raw" if driver is None else driver.get("type", "raw"),
                file=place,
            )
        )
    return disks


def find(ssh: Ssh, name: str) -> SourceGuest:
    """Return the guest; raises MigrateError when the host does not know it."""
    guest = look(ssh, name)
    if guest is None:
        message = f"{ssh.host}: no domain {name!r}; `virsh list --all` there names what it has"
        raise MigrateError(message)
    return guest


@dataclass(frozen=True, slots=True)
class Virsh:
    """QEMU's monitor through libvirt, for as long as libvirt runs."""

    ssh: Ssh
    name: str

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON
        """Run one command; raises MonitorError with what QEMU or libvirt says."""
        words = json.dumps({"execute": command, "arguments": arguments_of(arguments)})
        line = f"virsh -q qemu-monitor-command {shlex.quote(self.name)} {shlex.quote(words)}"
        try:
            answer = json.loads(self.ssh.run(line).stdout)
        except (CommandError, ValueError) as error:
            message = f"{self.ssh.host}: {self.name}: {command}: {error}"
            raise MonitorError(message) from error
        if "error" in answer:
            message = f"{self.name}: {command}: {answer['error']['desc']}"
            raise MonitorError(message)
        return answer["return"]
