"""Which kind of source a guest of the town has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.sources.files_source import FilesSource
from releve.migrate.sources.libvirt_source import LibvirtSource
from releve.migrate.sources.pve_source import PveSource

if TYPE_CHECKING:
    from releve.migrate.sources.base import Source
    from releve.town import Town


def source_of(town: Town, name: str, run: str) -> Source:
    """Return the source of a guest, for the migration's run of that id."""
    if all(disk.file for disk in town.guests[name].disks):
        return FilesSource.of(town, name, run)
    host = town.guests[name].source
    hypervisor = town.hosts[host].hypervisor
    if hypervisor == "libvirt":
        return LibvirtSource(town, name, run)
    if hypervisor == "pve":
        return PveSource.of(town, name, run)
    message = (
        f"guests.{name}.disks: {host} is of kind {hypervisor}, from which no running guest is"
        " moved; give each of its disks a `file`"
    )
    raise InputError(message)
