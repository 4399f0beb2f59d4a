"""Checks of what lies on the guest's disks: what binds a Windows to its machine, or ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning

if TYPE_CHECKING:
    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts
    from releve.migrate.preflight.windows import Windows

ON_DISK = Collected([])
UNREAD = "its disks were not read from outside"


def _windows(facts: Facts) -> Windows | None:
    return next((system.windows for system in facts.seen.systems if system.windows), None)


def _no_windows(facts: Facts) -> Said | None:
    """Return what to say of a guest that is no Windows, or whose disks were not read."""
    if _windows(facts) is not None:
        return None
    inside = facts.seen.inside
    if inside is not None and (inside.os or inside.os_id) and not inside.windows:
        return passed("no Windows")
    errors = [system.error for system in facts.seen.systems if system.error]
    if not facts.seen.systems or errors or (inside is not None and inside.windows):
        return unknown("; ".join(errors) or UNREAD)
    locked = [system.disk for system in facts.seen.systems if system.encrypted]
    return unknown(f"{', '.join(locked)} is encrypted") if locked else passed("no Windows")


@ON_DISK.add(
    "windows-shuts-down-whole",
    "G6",
    "hiberfil.sys, the volume's dirty flag and HiberbootEnabled, read from outside",
    "in the guest, as administrator: `powercfg /h off`, `chkdsk` if it asks for it, then shut it"
    " down once and start it again",
    at_source=True,
)
def windows_shuts_down_whole(facts: Facts) -> Said:
    """Windows is neither hibernated nor dirty, and a shutdown of it is a whole one."""
    if (said := _no_windows(facts)) is not None:
        return said
    windows = _windows(facts)
    assert windows is not None  # noqa: S101  # else it was said above
    wrong = {
        "hibernated": windows.hibernated,
        "volume is dirty": windows.dirty,
        "Fast Startup is on": windows.fast_startup,
    }
    if found := [text for text, value in wrong.items() if value]:
        return failed(", ".join(found))
    dark = [text for text, value in wrong.items() if value is None]
    return unknown(f"not read: {', '.join(dark)}") if dark else passed("whole, no Fast Startup")


@ON_DISK.add(
    "system-disk-plain",
    "G8",
    "partition types of each disk, read from outside",
    "Windows reads such a disk only with all its members: move all of them at once, and try it",
    at_source=True,
)
def system_disk_plain(facts: Facts) -> Said:
    """No disk is a dynamic one of Windows, or a member of Storage Spaces."""
    found = [f"{one.disk}: {one.dynamic}" for one in facts.seen.systems if one.dynamic]
    if found:
        return failed(", ".join(found))
    dark = [f"{one.disk}: {one.error}" for one in facts.seen.systems if one.error]
    if dark or not facts.seen.systems:
        return unknown("; ".join(dark) or UNREAD)
    return passed(", ".join(f"{one.disk}: {one.table or 'no table'}" for one in facts.seen.systems))


@ON_DISK.add(
    "recovery-key-known",
    "S14",
    "headers of the partitions: BitLocker, LUKS",
    "find the recovery key before the move, try to read it, and waive this with who has it where",
    at_source=True,
)
def recovery_key_known(facts: Facts) -> Said:
    """No partition is locked to the machine that the guest leaves."""
    locked = [f"{one.disk}: {one.encrypted}" for one in facts.seen.systems if one.encrypted]
    if any("BitLocker" in text or "TPM" in text for text in locked):
        return failed(", ".join(locked))
    if locked:
        remedy = "somebody has to type its passphrase at the console, as at each start"
        return warning(", ".join(locked), remedy)
    dark = [f"{one.disk}: {one.error}" for one in facts.seen.systems if one.error]
    if dark or not facts.seen.systems:
        return unknown("; ".join(dark) or UNREAD)
    return passed("none is encrypted")


@ON_DISK.add(
    "domain-controller-alone",
    "G11",
    "the service NTDS and the product type in the registry, read from outside",
    "count the controllers before. The only one: a rollback loses every password and account that"
    " was changed since. One of several: never start both, and after a rollback give it a new"
    " generation id, so that it reads the directory from its partners",
    at_source=True,
)
def domain_controller_alone(facts: Facts) -> Said:
    """The guest is no domain controller, whose rollback means more than a lost hour."""
    if (said := _no_windows(facts)) is not None:
        return said
    windows = _windows(facts)
    if windows is None or windows.domain_controller is None:
        return unknown("its registry was not read")
    if not windows.domain_controller:
        return passed("no domain controller")
    kept = facts.guest.vmgenid is not None
    return warning(f"domain controller, generation id {'kept' if kept else 'changes'}")
