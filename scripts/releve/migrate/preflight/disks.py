"""Checks of the guest's disks at the old host, and of what lies below them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from releve.migrate.preflight.at_source import OURS
from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning
from releve.migrate.preflight.units import mib, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts

DISKS = Collected([])
FORMATS = {"raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi", "qed"}
BITMAP_GRANULARITY = 65_536
SPARE_MEMORY = 64 << 20


@DISKS.add(
    "disks-as-listed",
    "S2",
    "the guest's definition against `guests.X.disks`",
    "survey the host again and copy what it writes into town.yml",
    at_source=True,
    fixed="a disk that is not listed would be left behind",
)
def disks_as_listed(facts: Facts) -> Said:
    """The source has just the disks that the town file lists, in its order."""
    found = [(disk.name, disk.format) for disk in facts.seen.disks]
    listed = [(disk.name, disk.format) for disk in facts.guest.disks]
    if found == listed:
        return passed(", ".join(f"{name} ({form})" for name, form in found))
    return failed(f"there: {_pairs(found)}; town.yml: {_pairs(listed)}")


def _pairs(disks: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({form})" for name, form in disks) or "none"


@DISKS.add(
    "disk-sizes-as-listed",
    "T5",
    "`qemu-img info` against `guests.X.disks[].size_mib`",
    "write the size that was measured into town.yml; a volume is never smaller than its source",
    at_source=True,
)
def disk_sizes_as_listed(facts: Facts) -> Said:
    """Each disk is as large as the town file says."""
    sizes = {disk.name: disk.size for disk in facts.seen.disks}
    listed = {disk.name: disk.size_mib for disk in facts.guest.disks}
    dark = [name for name, found in sizes.items() if found is None]
    wrong = [
        f"{name}: {mib(found)} MiB, town.yml: {listed[name]} MiB"
        for name, found in sizes.items()
        if found is not None and name in listed and mib(found) != listed[name]
    ]
    if wrong:
        return failed("; ".join(wrong))
    if dark:
        return unknown(f"size of {', '.join(dark)} not read")
    return passed(", ".join(f"{name} {size(found or 0)}" for name, found in sizes.items()))


@DISKS.add(
    "disk-format-known",
    "S2",
    "`qemu-img info --backing-chain` of each disk",
    "convert the disk, or move the guest by hand",
    at_source=True,
)
def disk_format_known(facts: Facts) -> Said:
    """Each disk is of a format that the mover reads."""
    odd = [
        f"{disk.name}: {layer.format}"
        for disk in facts.seen.disks
        for layer in disk.layers
        if layer.format not in FORMATS
    ]
    odd += [f"{disk.name}: {disk.format}" for disk in facts.seen.disks if not disk.layers]
    odd = [text for text in odd if text.rpartition(": ")[2] not in FORMATS]
    return failed(", ".join(odd)) if odd else passed(f"{len(facts.seen.disks)} disks")


@DISKS.add(
    "backing-chain-whole",
    "S2",
    "`qemu-img info --backing-chain` of each disk",
    "merge the chain (`virsh blockcommit`), or mend the name of the missing layer",
    at_source=True,
)
def backing_chain_whole(facts: Facts) -> Said:
    """Each disk can be read down to its last layer, and no layer is named by a relative path."""
    broken = [f"{disk.name}: {disk.error}" for disk in facts.seen.disks if disk.error]
    if broken:
        return failed("; ".join(broken))
    dark = [disk.name for disk in facts.seen.disks if not disk.layers]
    if dark:
        return unknown(f"{', '.join(dark)} not read")
    relative = [
        f"{disk.name}: {layer.backing}"
        for disk in facts.seen.disks
        for layer in disk.layers
        if layer.backing and not _absolute(layer.backing)
    ]
    if relative:
        return warning(f"relative: {', '.join(relative)}")
    return passed(f"{max((len(disk.layers) for disk in facts.seen.disks), default=0)} layers")


def _absolute(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or ":" in name.split("/", 1)[0]


@DISKS.add(
    "disk-not-encrypted",
    "S14",
    "`qemu-img info` of each disk",
    "the key stays at the old host: decrypt it there first, or move the guest by hand",
    at_source=True,
)
def disk_not_encrypted(facts: Facts) -> Said:
    """No image is encrypted by the old host."""
    locked = [d.name for d in facts.seen.disks if any(layer.encrypted for layer in d.layers)]
    return failed(", ".join(locked)) if locked else passed("none")


@DISKS.add(
    "no-snapshot",
    "S3",
    "the old host's snapshots of the guest, and those inside of its images",
    "merge or delete them; they are not carried over",
    at_source=True,
)
def no_snapshot(facts: Facts) -> Said:
    """The guest has no snapshot."""
    inside = [d.name for d in facts.seen.disks if any(layer.snapshots for layer in d.layers)]
    names = [*facts.seen.snapshots, *(f"inside {name}" for name in inside)]
    return failed(", ".join(names)) if names else passed("none")


@DISKS.add(
    "no-other-bitmap",
    "S3",
    "`query-block`",
    "ask whose backup it is; ours are named releve-RUN and do not disturb it",
    at_source=True,
)
def no_other_bitmap(facts: Facts) -> Said:
    """No other tool tracks writes on the guest's disks."""
    if not facts.seen.quiet and facts.seen.qemu is None:
        return unknown("no answer of QEMU's monitor")
    others = [name for name in facts.seen.bitmaps if not name.startswith(OURS)]
    return warning(", ".join(others)) if others else passed("none")


@DISKS.add(
    "disk-cache-safe",
    "S5",
    "`driver cache=` of each disk",
    "after a power cut of the old host such a disk may be torn: move it in a quiet hour",
    at_source=True,
)
def disk_cache_safe(facts: Facts) -> Said:
    """No disk throws the guest's flushes away (cache=unsafe)."""
    unsafe = [disk.name for disk in facts.seen.disks if disk.cache == "unsafe"]
    return warning(f"unsafe: {', '.join(unsafe)}") if unsafe else passed("none is unsafe")


@DISKS.add(
    "disk-not-shared",
    "S6",
    "the definitions of all guests of the old host",
    "move the disk with all its guests at once, by hand",
    at_source=True,
    fixed="while one guest is copied another would go on writing to the same disk",
)
def disk_not_shared(facts: Facts) -> Said:
    """No other guest uses one of the disks."""
    shared = [
        f"{disk.name}: {', '.join(disk.users) or 'marked shareable'}"
        for disk in facts.seen.disks
        if (disk.users or disk.shareable) and not disk.readonly
    ]
    return failed("; ".join(shared)) if shared else passed("none")


@DISKS.add(
    "source-disks-healthy",
    "S11",
    "kernel messages and /proc/mdstat of the old host",
    "copy what matters first, and read the whole disk early: the move reads every block",
)
def source_disks_healthy(facts: Facts) -> Said:
    """The old host's disks gave no read error, and no array of them is degraded."""
    errors = facts.old.disk_errors
    if facts.old.degraded:
        return warning(f"degraded: {', '.join(facts.old.degraded)}")
    if errors is None:
        return unknown("the kernel's messages cannot be read there")
    return (
        warning(f"{len(errors)} errors, the last: {errors[-1]}") if errors else passed("0 errors")
    )


@DISKS.add(
    "source-filesystem-clean",
    "S12",
    "error counters of the old host's file systems in /sys/fs",
    "check that file system (fsck) before its images are believed",
)
def source_filesystem_clean(facts: Facts) -> Said:
    """The file systems below the images count no errors."""
    found = facts.old.filesystem_errors
    if found is None:
        return unknown("no file system there tells")
    return failed(", ".join(found)) if found else passed("0 errors")


@DISKS.add(
    "bitmap-memory",
    "S20",
    "MemAvailable of the old host",
    "free memory there: QEMU keeps one bit for 64 KiB of each disk, twice",
    at_source=True,
)
def bitmap_memory(facts: Facts) -> Said:
    """The old host has memory for the bitmaps."""
    sizes = [disk.size for disk in facts.seen.disks]
    if facts.old.memory_available is None or None in sizes:
        return unknown("memory or size not read")
    need = 2 * sum(-(-(one or 0) // BITMAP_GRANULARITY) // 8 + 1 for one in sizes)
    text = f"{size(need)} of {size(facts.old.memory_available)}"
    return passed(text) if need + SPARE_MEMORY <= facts.old.memory_available else failed(text)
