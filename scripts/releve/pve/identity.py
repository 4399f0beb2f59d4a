"""A guest's identity between the town file's words and PVE's settings."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releve.town.model import Disk, Guest

# Flags that PVE lets a single guest set; others need a processor model of the node's own.
CPU_FLAGS = {
    *("nested-virt", "md-clear", "pcid", "spec-ctrl", "ssbd", "ibpb", "virt-ssbd", "amd-ssbd"),
    *("amd-no-ssb", "pdpe1gb", "hv-tlbflush", "hv-evmcs", "aes"),
}
# Processors that PVE 9 takes by name (qemu-server, CPUConfig.pm).
CPU_MODELS = {
    *("host", "max", "kvm32", "kvm64", "qemu32", "qemu64", "486", "pentium", "pentium2"),
    *("pentium3", "coreduo", "core2duo", "athlon", "phenom", "Conroe", "Penryn"),
    *("Nehalem", "Nehalem-IBRS", "Westmere", "Westmere-IBRS", "SandyBridge", "SandyBridge-IBRS"),
    *("IvyBridge", "IvyBridge-IBRS", "Haswell", "Haswell-IBRS", "Haswell-noTSX"),
    *("Haswell-noTSX-IBRS", "Broadwell", "Broadwell-IBRS", "Broadwell-noTSX"),
    *("Broadwell-noTSX-IBRS", "Skylake-Client", "Skylake-Client-IBRS"),
    *("Skylake-Client-noTSX-IBRS", "Skylake-Client-v4", "Skylake-Server", "Skylake-Server-IBRS"),
    *("Skylake-Server-noTSX-IBRS", "Skylake-Server-v4", "Skylake-Server-v5", "KnightsMill"),
    *("Cascadelake-Server", "Cascadelake-Server-v2", "Cascadelake-Server-noTSX"),
    *("Cascadelake-Server-v4", "Cascadelake-Server-v5", "Cooperlake", "Cooperlake-v2"),
    *("Icelake-Server", "Icelake-Server-noTSX", "SapphireRapids", "GraniteRapids"),
    *("SierraForest", "ClearwaterForest", "Opteron_G1", "Opteron_G2", "Opteron_G3"),
    *("Opteron_G4", "Opteron_G5", "EPYC", "EPYC-IBPB", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa"),
    *("EPYC-Turin", "x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"),
    *(f"Icelake-Server-v{number}" for number in range(3, 8)),
    *(f"SapphireRapids-v{number}" for number in range(2, 5)),
    *(f"{name}-v{number}" for name in ("GraniteRapids", "SierraForest") for number in (2, 3)),
    *(f"EPYC-v{number}" for number in range(3, 6)),
    *(f"EPYC-Rome-v{number}" for number in range(2, 6)),
    *("EPYC-Milan-v2", "EPYC-Milan-v3", "EPYC-Genoa-v2"),
}
# Names that newer versions gave up, and what has the same flags.
CPU_RENAMED = {"Icelake-Client": "Icelake-Server", "Icelake-Client-noTSX": "Icelake-Server-noTSX"}


def identity_settings(guest: Guest) -> dict[str, object]:
    """Return PVE's settings for what the guest sees of its machine; what is not said is left out.

    TPM and EFI variables are volumes and not here.
    """
    settings: dict[str, object] = {
        "machine": machine_of(guest.machine, guest.machine_version),
        "ostype": guest.os,
        "scsihw": guest.scsi_controller,
        "localtime": guest.clock == "localtime",
        "sockets": guest.sockets,
        "cores": guest.cpus // guest.sockets,
    }
    if smbios := smbios_of(guest):
        settings["smbios1"] = smbios
    if guest.vmgenid:
        settings["vmgenid"] = str(guest.vmgenid)
    if guest.cpu:
        settings["cpu"] = guest.cpu
    return settings


def machine_of(chipset: str, version: str | None) -> str:
    """Return PVE's name of a machine, with its version when there is one."""
    if version is None:
        return chipset
    return f"pc-{'q35' if chipset == 'q35' else 'i440fx'}-{version}"


def smbios_of(guest: Guest) -> str:
    """Return PVE's smbios1, "" when nothing is set; texts that it cannot hold plainly as base64."""
    said = guest.smbios.model_dump(exclude_none=True)
    words = [f"uuid={said.pop('uuid')}"] if "uuid" in said else []
    coded = any(not re.fullmatch(r"[A-Za-z0-9]+", text) for text in said.values())
    for key, text in said.items():
        shown = base64.b64encode(text.encode()).decode() if coded else text
        words.append(f"{key}={shown}")
    return ",".join([*words, "base64=1"] if coded else words)


def disk_options(disk: Disk) -> dict[str, str]:
    """Return what PVE's disk needs so that the guest reads the same serial number and name."""
    shown = {}
    if disk.serial:
        shown["serial"] = disk.serial
    if disk.wwn and disk.bus == "scsi":
        shown["wwn"] = f"0x{disk.wwn}"
    return shown
