"""VMware's words for systems, controllers, identities, in PVE's."""

from __future__ import annotations

import re

# guestOS without its -64, as far as it is no Linux (from PVE's own importer and VMware's list).
WINDOWS = {
    "winnt": "wxp",
    "win2000": "w2k",
    "winxp": "wxp",
    "winnet": "w2k3",
    "winvista": "wvista",
    "longhorn": "w2k8",
    "winlonghorn": "w2k8",
    "windows7srv": "win7",
    "windows7server": "win7",
    "windows7": "win7",
    "windows8srv": "win8",
    "windows8server": "win8",
    "windows8": "win8",
    "windows9": "win10",
    "windows2019srvnext": "win11",
    "windows2019": "win10",
    "windows2022": "win11",
    "windows2025": "win11",
    "windows11": "win11",
    "windows12": "win11",
}
OTHERS: tuple[str, ...] = (
    *("freebsd", "darwin", "os2", "netware", "openserver", "unixware", "ecom", "vmkernel", "dos"),
    *("win31", "win95", "win98", "winme", "crxpod", "crxsys"),
)
LINUXES: tuple[str, ...] = (
    *("ubuntu", "debian", "rhel", "centos", "fedora", "suse", "sles", "opensuse", "oracle"),
    *("amazon", "photon", "coreos", "asianux", "mandr", "redhat", "turbo", "rocky", "alma"),
    *("mint", "flatcar", "sjds", "oes", "nld", "vmwarephoton"),
    *(f"other{number}" for number in (24, 26, 3, 4, 5, 6, 7)),
)
SCSI = {"lsilogic": "lsi", "lsisas1068": "lsi", "pvscsi": "pvscsi"}
OS_NOTES = (
    ("w", "Windows starts only from a disk whose driver it has: put in virtio's or use sata first"),
)


def os_of(name: str | None) -> str | None:
    """Return the kind of system in PVE's words; None when the name tells nothing."""
    key = re.sub(r"(_?-?64|64guest|guest)$", "", (name or "").lower())
    for begin, kind in WINDOWS.items():
        if key.startswith(begin):
            return kind
    if key.startswith("solaris"):
        return "solaris"
    if key.startswith(OTHERS):
        return "other"
    return "l26" if key.startswith(LINUXES) or "linux" in key else None


def scsi_of(models: list[str]) -> str | None:
    """Return the controller of a guest's SCSI disks in PVE's words; None without such disks."""
    known = [SCSI[model] for model in models if model in SCSI]
    return known[0] if known else None


def uuid_of(text: str | None) -> str | None:
    """Return VMware's sixteen bytes as a UUID; None when they are not sixteen."""
    digits = re.sub(r"[^0-9a-f]", "", (text or "").lower())
    if len(digits) != 32:  # noqa: PLR2004  # sixteen bytes
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def genid_of(low: str | None, high: str | None) -> str | None:
    """Return the generation id, which VMware writes as two signed numbers of 64 bits."""
    try:
        first, second = (int(text or "") & (2**64 - 1) for text in (low, high))
    except ValueError:
        return None
    tail = second.to_bytes(8, "little").hex()
    head = f"{first & 0xFFFFFFFF:08x}-{first >> 32 & 0xFFFF:04x}-{first >> 48:04x}"
    return f"{head}-{tail[:4]}-{tail[4:]}" if first or second else None


def whole(text: str | None) -> int | None:
    """Return a whole number; None when there is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None
