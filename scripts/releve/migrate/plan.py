"""What a migration would do and what stands in its way, found without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from releve.blocks.errors import MonitorError
from releve.errors import InputError, RefusedError, ReleveError
from releve.migrate.pve import PveTarget
from releve.migrate.record import runs_of
from releve.migrate.source import SourceGuest, Virsh, look
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.town import Town

OLDEST_QEMU = (5, 2)
IMMOVABLE = {"hostdev", "tpm", "shmem", "filesystem"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at before a migration: stable id, verdict, value, what to do."""

    id: str
    passed: bool
    value: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """How one guest would move. `rung` is how its bytes are read."""

    guest: str
    source: str
    target: str
    rung: str
    findings: tuple[Finding, ...]

    @property
    def possible(self) -> bool:
        """Whether nothing stands in the way."""
        return all(finding.passed for finding in self.findings)


def order(town: Town, names: Sequence[str]) -> list[str]:
    """Return guests so that whoever is needed moves first; all that have an old source if none."""
    for name in names:
        if name not in town.guests:
            message = f"no guest {name!r} in {town.file}; it has {', '.join(town.guests)}"
            raise InputError(message)
    chosen = list(names) or list(town.guests)
    graph = {name: [need for need in town.guests[name].needs if need in chosen] for name in chosen}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        message = f"these guests wait for each other: {' -> '.join(error.args[1])}"
        raise InputError(message) from error


def plan(town: Town, name: str) -> GuestPlan:
    """Look at one guest's source and at its node."""
    guest = town.guests[name]
    old, node = Ssh.to(town, guest.source), Ssh.to(town, guest.target)
    findings: list[Finding] = []
    try:
        found = look(old, guest.source_name or name)
    except ReleveError as error:
        findings.append(Finding("source-reachable", passed=False, value=str(error)))
    else:
        findings.append(Finding("source-reachable", passed=True, value=old.address))
        findings += _source_findings(town, name, found, old)
    findings += _node_findings(town, name, node)
    return GuestPlan(name, guest.source, guest.target, "libvirt: bitmaps by QMP", tuple(findings))


def refuse_impossible(town: Town, name: str) -> None:
    """Raise RefusedError when something stands in the way of a guest's move; nothing is changed."""
    for finding in plan(town, name).findings:
        if not finding.passed:
            hint = f"; {finding.remedy}" if finding.remedy else ""
            message = f"{name}: {finding.id}: {finding.value}{hint}"
            raise RefusedError(message)


def _source_findings(town: Town, name: str, found: SourceGuest | None, old: Ssh) -> list[Finding]:
    if found is None:
        remedy = "name it as `virsh list --all` does, or it was moved: `releve migrate status`"
        return [Finding("guest-known", passed=False, value=name, remedy=remedy)]
    wanted = town.guests[name]
    disks = [(disk.name, disk.format) for disk in found.disks]
    listed = [(disk.name, disk.format) for disk in wanted.disks]
    macs = tuple(nic.mac for nic in wanted.nics)
    immovable = sorted(IMMOVABLE & set(found.devices))
    findings = [
        Finding("guest-known", passed=True, value=found.uuid),
        Finding("guest-works", found.running, found.state, f"virsh start {name}"),
        Finding("disks-as-listed", disks == listed, str(disks), f"town.yml has {listed}"),
        Finding("macs-as-listed", found.macs == macs, ",".join(found.macs), f"town.yml has {macs}"),
        Finding(
            "no-snapshot", not found.snapshots, ",".join(found.snapshots), "virsh snapshot-delete"
        ),
        Finding(
            "no-saved-state",
            not found.managed_save,
            str(found.managed_save),
            "virsh managedsave-remove",
        ),
        Finding(
            "no-bound-device", not immovable, ",".join(immovable), "detach it, or move by hand"
        ),
    ]
    if found.running:
        findings += _qemu_findings(Virsh(old, wanted.source_name or name))
    return findings


def _qemu_findings(monitor: Virsh) -> list[Finding]:
    try:
        version = monitor.execute("query-version")["qemu"]
        jobs = monitor.execute("query-block-jobs")
        exports = monitor.execute("query-block-exports")
    except MonitorError as error:
        return [Finding("qemu-answers", passed=False, value=str(error))]
    found = (version["major"], version["minor"])
    others = [row["id"] for row in exports if not row["id"].startswith("releve-")]
    return [
        Finding(
            "qemu-new-enough",
            found >= OLDEST_QEMU,
            ".".join(map(str, found)),
            f"bitmaps by export need {OLDEST_QEMU[0]}.{OLDEST_QEMU[1]}",
        ),
        Finding("no-block-job", not jobs, str(len(jobs)), "wait for its end (a backup?)"),
        Finding("no-other-export", not others, ",".join(others), "wait for its end (a backup?)"),
    ]


def _node_findings(town: Town, name: str, node: Ssh) -> list[Finding]:
    try:
        done = node.run("/usr/bin/python3 -c 'import nbd; print(nbd.NBD().get_version())'")
    except ReleveError as error:
        remedy = "apt-get install python3-libnbd (role base does)"
        found = [Finding("node-has-libnbd", passed=False, value=str(error), remedy=remedy)]
    else:
        found = [Finding("node-has-libnbd", passed=True, value=done.stdout.strip())]
    try:
        vmid, there = town.guests[name].vmid, PveTarget.of(town, name).owner()
    except ReleveError as error:
        return [*found, Finding("node-lets-us-in", passed=False, value=str(error))]
    mark = "free" if there is None else f"a guest of run {there or 'nobody'} is there"
    found.append(Finding("node-lets-us-in", passed=True, value=node.address))
    remedy = "give the guest another vmid, or remove that one by hand"
    free = there is None or there in runs_of(name)
    return [*found, Finding("vmid-free", free, f"{vmid}: {mark}", remedy)]
