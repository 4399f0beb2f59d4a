"""Checks of the system inside the guest: by its agent, or by reading its disks from outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.migrate.preflight.boot_files import BOOT_FILES, kernel_names, named
from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning
from releve.migrate.preflight.units import MIB, size

if TYPE_CHECKING:
    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts, Inside

INSIDE = Collected([])
NO_AGENT = "the guest's agent does not tell"
ROOM = 100 * MIB
FIXED_NAMES = re.compile(r"^(lo|eth\d+|lan\d+|net\d+)$")
DATABASES = {
    1433: "SQL Server",
    1521: "Oracle",
    3306: "MySQL",
    5432: "PostgreSQL",
    3050: "Firebird",
}
LISTEN = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
# Kernels that have virtio_blk and virtio_net, and the first Windows that virtio drivers exist for.
OLDEST_LINUX = (2, 6, 32)


def bus_changes(facts: Facts) -> list[str]:
    """Return what changes for the boot disk and the cards: `vda: sata -> virtio`."""
    if facts.source is None:
        return []
    there = {disk.name: disk.bus for disk in facts.source.disks}
    return [
        f"{disk.name}: {there[disk.name]} -> {disk.bus}"
        for disk in facts.guest.disks
        if (there.get(disk.name) or disk.bus) != disk.bus
    ]


def listening(inside: Inside) -> list[int]:
    """Return the TCP ports on which somebody listens, from /proc/net/tcp and tcp6."""
    ports = set()
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in inside.files.get(file, "").splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == LISTEN:  # noqa: PLR2004  # local, remote, state
                address, _, port = words[1].rpartition(":")
                if address not in LOOPBACK:
                    ports.add(int(port, 16))
    return sorted(ports)


@INSIDE.add(
    "system-known",
    "G1",
    "`guest-get-osinfo` of the agent",
    "keep the bus and the card that it has now; both stay possible on the node",
    at_source=True,
)
def system_known(facts: Facts) -> Said:
    """The system has drivers for the disks and cards that it gets."""
    changes, inside = bus_changes(facts), facts.seen.inside
    if inside is None:
        return unknown(NO_AGENT) if changes else passed("same buses as now")
    text = f"{inside.os} {inside.version} {inside.kernel}".strip()
    old = _kernel(inside.kernel) < OLDEST_LINUX and not inside.windows
    if changes and old and inside.kernel:
        return failed(f"{text}; {', '.join(changes)}")
    return passed(text)


def _kernel(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("-")[0])[:3])


@INSIDE.add(
    "boot-driver-ready",
    "G2",
    "the initramfs (Linux) or the boot-start drivers (Windows)",
    "Linux: `releve migrate prepare GUEST` puts virtio into the initramfs and tells this check;"
    " Windows: put in virtio's drivers, or keep the bus that it has now (sata first)",
    at_source=True,
    must_know=True,
)
def boot_driver_ready(facts: Facts) -> Said:
    """What the boot disk will hang on is known to the system before it is mounted."""
    changes = bus_changes(facts)
    if not changes:
        return passed("same buses as now")
    text = ", ".join(changes)
    systems = [system for system in facts.seen.systems if system.windows is not None]
    if systems:
        boot = systems[0].windows.boot_drivers if systems[0].windows else frozenset()
        wanted = {"virtio": "viostor", "scsi": "vioscsi"}.get(facts.guest.disks[0].bus, "")
        if not wanted:
            return passed(f"{text}: Windows has that driver itself")
        return passed(f"{text}: {wanted}") if wanted in boot else failed(f"{text}: no {wanted}")
    if "boot-driver-ready" in facts.prepared:
        return passed(f"{text}: {facts.prepared['boot-driver-ready']}")
    return unknown(f"{text}; its initramfs was not read")


@INSIDE.add(
    "network-names-fixed",
    "G3",
    "`guest-network-get-interfaces` of the agent",
    "`releve migrate prepare GUEST` names the cards by their MAC on the source (a .link file in"
    " /etc/systemd/network), which is harmless there",
    at_source=True,
)
def network_names_fixed(facts: Facts) -> Said:
    """The cards' names do not hang on the slot that they sit in."""
    inside = facts.seen.inside
    if "network-names-fixed" in facts.prepared:
        return passed(facts.prepared["network-names-fixed"])
    if inside is None or not inside.interfaces:
        return unknown(NO_AGENT)
    links = "/etc/systemd/network/"
    pinned = "".join(text for file, text in inside.files.items() if file.startswith(links))
    macs = {mac.lower() for mac in facts.seen.macs}
    loose = [
        name
        for name, mac in inside.interfaces
        if mac.lower() in macs and not FIXED_NAMES.match(name) and mac.lower() not in pinned.lower()
    ]
    if inside.windows:
        return warning("Windows binds addresses to the card it knows: note them before")
    names = ", ".join(name for name, _mac in inside.interfaces)
    return warning(f"named by slot: {', '.join(loose)}") if loose else passed(names)


@INSIDE.add(
    "fstab-by-uuid",
    "G4",
    "fstab, crypttab, the kernel's command line and grub's device.map, by the agent",
    "`releve migrate prepare GUEST` writes the UUIDs instead, on the running source",
    at_source=True,
)
def fstab_by_uuid(facts: Facts) -> Said:
    """Nothing that is needed to boot names a disk by the kernel's name."""
    inside = facts.seen.inside
    if "fstab-by-uuid" in facts.prepared:
        return passed(facts.prepared["fstab-by-uuid"])
    if inside is None or not any(file in inside.files for file in BOOT_FILES):
        return unknown(NO_AGENT)
    names = kernel_names(inside.files, inside.uuids)
    if not names:
        return passed(", ".join(named(inside.files)) or "nothing of a disk is mounted by fstab")
    return failed("; ".join(names)) if bus_changes(facts) else warning("; ".join(names))


@INSIDE.add(
    "room-inside",
    "G5",
    "`guest-get-fsinfo` of the agent",
    "make room: a system without any does not start cleanly",
    at_source=True,
)
def room_inside(facts: Facts) -> Said:
    """Each file system has 100 MB free."""
    inside = facts.seen.inside
    if inside is None or not inside.free:
        return unknown(NO_AGENT)
    tight = [f"{at}: {size(free)}" for at, free in inside.free.items() if free < ROOM]
    return warning(", ".join(tight)) if tight else passed(f"{len(inside.free)} file systems")


@INSIDE.add(
    "no-pending-update",
    "G7",
    "/run/reboot-required by the agent, pending.xml on a Windows disk",
    "restart it once at the old host, so that the first start here changes nothing else",
    at_source=True,
)
def no_pending_update(facts: Facts) -> Said:
    """No update waits for a restart."""
    windows = [system.windows for system in facts.seen.systems if system.windows]
    if any(one.pending_updates for one in windows):
        return failed("Windows: pending.xml")
    if windows:
        return passed("no pending.xml")
    inside = facts.seen.inside
    if inside is None:
        return unknown(NO_AGENT)
    waits = "/run/reboot-required" in inside.files
    return warning("reboot-required") if waits else passed("none")


@INSIDE.add(
    "database-known",
    "G12",
    "the guest's listening ports, by the agent",
    "its own power button stops a database cleanly; see that `stop_seconds` is long enough for it",
    at_source=True,
)
def database_known(facts: Facts) -> Said:
    """A database inside has the time that it needs to stop."""
    inside = facts.seen.inside
    if inside is None or "/proc/net/tcp" not in inside.files:
        return unknown(NO_AGENT)
    found = [DATABASES[port] for port in listening(inside) if port in DATABASES]
    text = f"{', '.join(found)}: {facts.guest.stop_seconds} s to stop"
    return warning(text) if found else passed("no known port of a database")


@INSIDE.add(
    "ports-known",
    "G13",
    "the guest's listening ports, by the agent",
    "without them, say in town.yml how to ask it (`witness`), or who tests it (`tested_by`)",
    at_source=True,
)
def ports_known(facts: Facts) -> Said:
    """What answers today is known, so that it can be asked for after the move."""
    inside = facts.seen.inside
    if inside is not None and "/proc/net/tcp" in inside.files:
        return passed(", ".join(map(str, listening(inside))) or "none listens")
    if facts.guest.witness:
        return passed(f"witness on port {facts.guest.witness.port}")
    return unknown(NO_AGENT)


@INSIDE.add(
    "address-known",
    "G14",
    "`guests.X.nics[].address`",
    "write its address into town.yml; a reservation by MAC stays valid, since the MAC is kept",
)
def address_known(facts: Facts) -> Said:
    """The address is in the town file, so that it can be asked before and after."""
    found = [str(nic.address) for nic in facts.guest.nics if nic.address]
    if not facts.guest.nics:
        return passed("no network card")
    return passed(", ".join(found)) if found else warning("none; by DHCP?")
