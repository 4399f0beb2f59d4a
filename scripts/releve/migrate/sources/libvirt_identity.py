"""What a libvirt guest sees of its own machine: maker, processor, clock, generation, TPM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Cpu, Identity, Smbios, Tpm
from releve.migrate.sources.xmltree import attribute_at, number, text_at

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

OSINFO = ".//{http://libosinfo.org/xmlns/libvirt/domain/1.0}os"
# What libosinfo calls a Windows system (the end of its id), in PVE's words.
WINDOWS = {
    "xp": "wxp",
    "2k": "w2k",
    "2k3": "w2k3",
    "2k3r2": "w2k3",
    "vista": "wvista",
    "2k8": "w2k8",
    "2k8r2": "win7",
    "7": "win7",
    "8": "win8",
    "8.1": "win8",
    "2k12": "win8",
    "2k12r2": "win8",
    "10": "win10",
    "2k16": "win10",
    "2k19": "win10",
    "11": "win11",
    "2k22": "win11",
    "2k25": "win11",
}
CPU_MODES = {"host-passthrough": "host", "maximum": "max", "host-model": "host-model"}
DEFAULT_CPU = "qemu64"  # QEMU's own choice for a PC whose definition has no model
SCSI = {
    "virtio-scsi": "virtio-scsi-pci",
    "virtio-transitional": "virtio-scsi-pci",
    "virtio-non-transitional": "virtio-scsi-pci",
    "lsilogic": "lsi",
    "lsisas1078": "megasas",
    "vmpvscsi": "pvscsi",
    "auto": "lsi",
}
FEATURE_SIGNS = {"require": "+", "force": "+", "disable": "-", "forbid": "-"}


def identity_of(domain: ET.Element) -> Identity:
    """Return what the guest reads of its machine, as far as its definition tells."""
    genid = text_at(domain, "genid")
    return Identity(
        smbios=_smbios(domain),
        cpu=_cpu(domain),
        vmgenid=genid.lower() if genid else None,
        clock=_clock(domain),
        tpm=_tpm(domain),
        os=_system(domain),
        scsi_controller=_scsi(domain),
    )


def _smbios(domain: ET.Element) -> Smbios:
    uuid = text_at(domain, "uuid")
    shown: dict[str, str | None] = {}
    if attribute_at(domain, "os/smbios", "mode") == "sysinfo":
        entries = domain.findall("sysinfo/system/entry")
        shown = {entry.get("name") or "": (entry.text or "").strip() or None for entry in entries}
    return Smbios(
        uuid=(shown.get("uuid") or uuid or "").lower() or None,
        manufacturer=shown.get("manufacturer"),
        product=shown.get("product"),
        version=shown.get("version"),
        serial=shown.get("serial"),
        sku=shown.get("sku"),
        family=shown.get("family"),
    )


def _cpu(domain: ET.Element) -> Cpu:
    cpu, most = domain.find("cpu"), number(text_at(domain, "vcpu"), 1)
    if cpu is None:
        return Cpu(DEFAULT_CPU, sockets=most)
    model = CPU_MODES.get(cpu.get("mode") or "") or text_at(cpu, "model") or DEFAULT_CPU
    flags = [
        f"{FEATURE_SIGNS[feature.get('policy', 'require')]}{feature.get('name')}"
        for feature in cpu.findall("feature")
        if feature.get("policy", "require") in FEATURE_SIGNS
    ]
    topology = cpu.find("topology")
    if topology is None:
        return Cpu(model, tuple(sorted(flags)), sockets=most)
    cores = number(topology.get("cores"), 1)
    cores *= number(topology.get("dies"), 1) * number(topology.get("clusters"), 1)
    sockets, threads = number(topology.get("sockets"), 1), number(topology.get("threads"), 1)
    return Cpu(model, tuple(sorted(flags)), sockets, cores, threads)


def _clock(domain: ET.Element) -> str:
    clock = domain.find("clock")
    if clock is None:
        return "utc"
    return "localtime" if "localtime" in {clock.get("offset"), clock.get("basis")} else "utc"


def _tpm(domain: ET.Element) -> Tpm | None:
    tpm = domain.find("devices/tpm")
    if tpm is None:
        return None
    version = attribute_at(tpm, "backend", "version") or "2.0"
    return Tpm(version, tpm.get("model"), attribute_at(tpm, "backend/source", "path"))


def _system(domain: ET.Element) -> str | None:
    """Return the kind of system: as libosinfo's note in the metadata says, or by its features."""
    note = domain.find(OSINFO)
    id_ = (note.get("id") or "") if note is not None else ""
    if "microsoft.com/win/" in id_:
        return WINDOWS.get(id_.rpartition("/")[2], "win10")
    if domain.find("features/hyperv") is not None and not id_:
        return "win10"
    if re.search(r"(bsd|solaris|illumos|omnios)", id_):
        return "solaris" if re.search(r"(solaris|illumos|omnios)", id_) else "other"
    return "l26" if id_ else None


def _scsi(domain: ET.Element) -> str | None:
    """Return the controller of the disks on a SCSI bus in PVE's words; None without such disks."""
    targets = domain.findall("devices/disk/target")
    if not any(
        target.get("bus") == "scsi"
        or (target.get("bus") is None and (target.get("dev") or "").startswith("sd"))
        for target in targets
    ):
        return None
    controllers = domain.findall("devices/controller[@type='scsi']")
    models = [controller.get("model") or "auto" for controller in controllers] or ["auto"]
    return SCSI.get(models[0])
