"""How the files that a system boots by name its disks, and what they should say instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Device names that hang on the controller or the slot; a UUID, a label or a by-id path does not.
# What goes on after it is another name: /dev/vdata/root is a volume group's.
KERNEL_NAME = re.compile(
    r"/dev/(?:(?:sd|hd|vd|xvd)[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|disk/by-path/\S+)(?![\w/-])"
)
BOOT_FILES = ("/etc/fstab", "/etc/crypttab", "/proc/cmdline", "/boot/grub/device.map")
# Where blkid keeps what it saw, the newest place first.
BLKID_FILES = ("/run/blkid/blkid.tab", "/etc/blkid/blkid.tab", "/etc/blkid.tab")
ON_A_DISK = ("/DEV/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")
_BLKID = re.compile(r'<device\b[^>]*?\bUUID="([^"]+)"[^>]*>([^<]+)</device>')


def uuids_of(files: Mapping[str, str]) -> dict[str, str]:
    """Return device -> UUID as blkid's cache tells it, empty without one."""
    text = next((files[file] for file in BLKID_FILES if file in files), "")
    return {device: uuid for uuid, device in _BLKID.findall(text)}


def kernel_names(files: Mapping[str, str], uuids: Mapping[str, str]) -> list[str]:
    """Return each use of a kernel's device name in a boot file, with the UUID to write instead."""
    found = []
    for file in BOOT_FILES:
        for line in files.get(file, "").splitlines():
            words = line.partition("#")[0]
            for name in KERNEL_NAME.findall(words):
                uuid = uuids.get(name)
                found.append(f"{file}: {name}" + (f" (UUID={uuid})" if uuid else ""))
    return list(dict.fromkeys(found))


def named(files: Mapping[str, str]) -> list[str]:
    """Return what each file system of fstab hangs on, as `/boot UUID=AB-12`."""
    return list(_named(files.get("/etc/fstab", "")))


def _named(fstab: str) -> Iterator[str]:
    for line in fstab.splitlines():
        what, where, kind = [*line.partition("#")[0].split(), "", "", ""][:3]
        if kind and what.upper().startswith(ON_A_DISK):
            yield f"{kind if where in {'none', 'swap'} else where} {what}"
