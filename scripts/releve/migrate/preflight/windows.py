"""What lies on a guest's disk, read from outside: what keeps a Windows from starting elsewhere.

Made after the formats' descriptions and tried on inputs made for it; not tried on a real Windows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from releve.errors import ReleveError
from releve.migrate.preflight.hive import Hive
from releve.migrate.preflight.ntfs import OEM, Ntfs
from releve.migrate.preflight.partitions import Partition, table_of

if TYPE_CHECKING:
    from releve.migrate.preflight.reader import Reader

BITLOCKER, LUKS = b"-FVE-FS-", b"LUKS\xba\xbe"
LUKS_HEADER = 16_384
BOUND_TO_TPM = (b"systemd-tpm2", b"clevis", b"tpm2-")
ASLEEP = {b"hibr", b"HIBR", b"rstr", b"RSTR"}
SYSTEM = "Windows/System32/config/SYSTEM"
BOOT_START = 0
CONTROLLER = "LanmanNT"
DRIVERS = ("viostor", "vioscsi", "netkvm")


@dataclass(frozen=True, slots=True)
class Windows:
    """A Windows as its disk shows it; None: that part could not be read."""

    hibernated: bool | None = None
    fast_startup: bool | None = None
    dirty: bool | None = None
    pending_updates: bool | None = None
    domain_controller: bool | None = None
    boot_drivers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SystemDisk:
    """One disk: its partition table, what binds it to its machine, and a Windows on it."""

    disk: str
    table: str = ""
    dynamic: str = ""
    encrypted: str = ""
    windows: Windows | None = None
    error: str = ""


def look_at(disk: str, reader: Reader) -> SystemDisk:
    """Return what is on a disk; what cannot be read is an error in it, never an exception."""
    try:
        table, partitions = table_of(reader)
        found = SystemDisk(disk, table)
        for partition in partitions:
            found = _with_partition(found, reader, partition)
    except (ReleveError, struct.error, IndexError) as error:
        return SystemDisk(disk, error=f"cannot be read: {error}")
    return found


def _with_partition(found: SystemDisk, reader: Reader, partition: Partition) -> SystemDisk:
    if partition.dynamic:
        return replace(found, dynamic=partition.dynamic)
    head = reader.read(partition.start, 512)
    if head[3:11] == BITLOCKER:
        return replace(found, encrypted="BitLocker")
    if head[:6] == LUKS:
        header = reader.read(partition.start, LUKS_HEADER)
        bound = any(word in header for word in BOUND_TO_TPM)
        return replace(found, encrypted="LUKS bound to a TPM" if bound else "LUKS")
    if head[3:11] != OEM:
        return found
    volume = Ntfs(reader, partition.start)
    windows = windows_on(volume)
    if windows is None:
        return found
    return replace(found, windows=windows)


def windows_on(volume: Ntfs) -> Windows | None:
    """Return the Windows of a volume; None when its registry is not there."""
    registry = volume.find(SYSTEM)
    if registry is None:
        return None
    asleep = volume.find("hiberfil.sys")
    hibernated = asleep is not None and asleep.size >= 4 and volume.part(asleep, 0, 4) in ASLEEP  # noqa: PLR2004
    found = Windows(
        hibernated=hibernated,
        dirty=volume.dirty,
        pending_updates=volume.find("Windows/WinSxS/pending.xml") is not None,
    )
    hive = Hive(lambda offset, length: volume.part(registry, offset, length))
    return _with_registry(found, hive)


def _with_registry(found: Windows, hive: Hive) -> Windows:
    select = hive.find("Select")
    current = hive.number(select, "Current") if select else None
    if current is None:
        return found
    control = f"ControlSet{current:03}"
    power = hive.find(f"{control}\\Control\\Session Manager\\Power")
    product = hive.find(f"{control}\\Control\\ProductOptions")
    kind = hive.text(product, "ProductType") if product else None
    drivers = set()
    for driver in DRIVERS:
        service = hive.find(f"{control}\\Services\\{driver}")
        if service and hive.number(service, "Start") == BOOT_START:
            drivers.add(driver)
    directory = hive.find(f"{control}\\Services\\NTDS") is not None
    fast = hive.number(power, "HiberbootEnabled") if power else None
    return replace(
        found,
        fast_startup=None if fast is None else fast != 0,
        domain_controller=kind == CONTROLLER or (kind is None and directory),
        boot_drivers=frozenset(drivers),
    )
