"""Read a guest whose old host is no libvirt: what its source tells, and no more is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import ReleveError
from releve.migrate.preflight.collect_files import collect_files
from releve.migrate.preflight.collect_pve import collect_pve
from releve.migrate.preflight.facts import DiskFacts, Firmware, SourceFacts
from releve.migrate.sources.choose import source_of
from releve.migrate.sources.files_source import FilesSource
from releve.migrate.sources.pve_source import PveSource

if TYPE_CHECKING:
    from releve.migrate.sources.base import SourceGuest
    from releve.town import Town

NO_RUN = "plan"  # sources are named after a run; looking makes none


def collect_other(town: Town, name: str) -> tuple[SourceFacts | None, str]:
    """Return the guest as its source shows it (None: not there), and why it could not be read."""
    try:
        source = source_of(town, name, NO_RUN)
        if isinstance(source, FilesSource):
            return collect_files(source), ""
        if isinstance(source, PveSource):
            return collect_pve(source), ""
        guest = source.look()
        return (None if guest is None else facts_of(guest, source.rung)), ""
    except ReleveError as error:
        return None, str(error)


def facts_of(guest: SourceGuest, rung: str) -> SourceFacts:
    """Build the facts; what this kind of source does not tell stays unknown."""
    return SourceFacts(
        state=guest.state,
        uuid=guest.uuid,
        macs=guest.macs,
        disks=tuple(DiskFacts(disk.name, "", disk.format, disk.file) for disk in guest.disks),
        devices=guest.devices,
        snapshots=guest.snapshots,
        saved=guest.managed_save,
        autostart=guest.autostart,
        firmware=Firmware(guest.nvram, None) if guest.nvram else None,
        rung=rung,
        whole=False,
    )
