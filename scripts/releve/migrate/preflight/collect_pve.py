"""Read one guest of an old Proxmox VE: file, volumes and monitor; nothing is changed."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from releve.migrate.exports import listed
from releve.migrate.preflight.collect_guest import EXPORTS, MONITOR, layers_of, with_monitor
from releve.migrate.preflight.facts import DiskFacts, Firmware, SourceFacts
from releve.migrate.preflight.sections import ask
from releve.migrate.sources.pve_conf import EFI_BYTES, efi_type, read_conf
from releve.migrate.sources.pve_guest import guest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.migrate.preflight.sections import Answer
    from releve.migrate.sources.base import SourceGuest
    from releve.migrate.sources.domain import DiskFound, Domain
    from releve.migrate.sources.pve_source import PveSource

_VOLUME = """\
file=$(pvesm path {volume}) && printf '%s\\n' "$file" || exit 1
qemu-img info -U -f {format} --backing-chain --output=json "$file" | tr -d '\\n'
"""
_FIRMWARE = "file=$(pvesm path {volume}) && qemu-img info -U --output=json \"$file\" | tr -d '\\n'"


def collect_pve(source: PveSource) -> SourceFacts | None:
    """Return the guest as its host has it; None when it is not there. Raises ReleveError."""
    guest = source.look()
    if guest is None:
        return None
    where = f"{source.vmid}.conf"
    domain = guest_of(read_conf(guest.definition, where), where, int(source.vmid))
    answers = ask(source.ssh, questions(domain, source.folder))
    facts = facts_of(guest, domain, answers)
    if not facts.running:
        return facts
    return with_monitor(facts, lambda: _monitor(source))


def questions(domain: Domain, folder: str) -> dict[str, str]:
    """Return what is asked of the old host; `folder` has its guests' files."""
    asked = {"confs": f"cd {shlex.quote(folder)} && grep -H : -- *.conf"}
    for disk in domain.disks:
        asked[disk.target] = _VOLUME.format(
            volume=shlex.quote(disk.source or ""), format=shlex.quote(disk.format or "raw")
        )
    if domain.nvram:
        asked["firmware"] = _FIRMWARE.format(volume=shlex.quote(domain.nvram))
    return asked


def facts_of(guest: SourceGuest, domain: Domain, answers: Mapping[str, Answer]) -> SourceFacts:
    """Build what the file and the volumes tell; pure."""
    lock = re.search(r"^lock: (\S+)$", guest.definition.partition("\n[")[0], re.MULTILINE)
    confs = answers["confs"].text
    return SourceFacts(
        state=guest.state,
        uuid=guest.uuid,
        macs=guest.macs,
        disks=tuple(
            _disk(disk, answers[disk.target], users_of(disk.source or "", guest.id, confs))
            for disk in domain.disks
        ),
        snapshots=guest.snapshots,
        saved=guest.managed_save,
        autostart=guest.autostart,
        lock=lock[1] if lock else "",
        acpi=domain.acpi,
        firmware=_firmware(guest, domain, answers),
        domain=domain,
    )


def users_of(volume: str, vmid: int | None, confs: str) -> tuple[str, ...]:
    """Return the other guests whose files name a volume; `confs` is what grep printed of all."""
    found = set()
    for line in confs.splitlines():
        file, _colon, rest = line.partition(":")
        value = rest.partition(": ")[2]
        if value.partition(",")[0].strip() == volume and file != f"{vmid}.conf":
            found.add(file.removesuffix(".conf"))
    return tuple(sorted(found))


def _disk(disk: DiskFound, answer: Answer, users: tuple[str, ...]) -> DiskFacts:
    file, _newline, chain = answer.text.partition("\n")
    layers, error = layers_of(chain) if answer.good else ((), " ".join(answer.text.split())[:200])
    return DiskFacts(
        name=disk.target,
        bus=disk.bus,
        format=disk.format or "raw",
        file=file if answer.good else disk.source or "",
        layers=layers,
        error=error,
        readonly=disk.readonly,
        users=users,
    )


def _firmware(guest: SourceGuest, domain: Domain, answers: Mapping[str, Answer]) -> Firmware | None:
    """Return the EFI variables; a volume may be longer than what QEMU sees of it."""
    if not domain.nvram:
        return None
    length = EFI_BYTES[efi_type(guest.definition)]
    try:
        said = json.loads(answers["firmware"].text)
        readable = said["format"] == "raw" and int(said["virtual-size"]) >= length
    except (ValueError, KeyError, TypeError):
        readable = False
    return Firmware(domain.nvram, length if readable else None)


def _monitor(source: PveSource) -> dict[str, Any]:
    """Ask QEMU, and let go of the line; raises MonitorError."""
    monitor = source.monitor
    try:
        said = {command: monitor.execute(command) for command in MONITOR if command != EXPORTS}
        return said | {EXPORTS: [{"id": name} for name in listed(monitor) or ()]}
    finally:
        monitor.let_go("")
