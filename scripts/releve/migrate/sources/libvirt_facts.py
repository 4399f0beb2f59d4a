"""Counts and plain values of a libvirt definition, for people and for comparing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from releve.migrate.sources.libvirt_devices import disk_bus
from releve.migrate.sources.xmltree import attribute_at, layers, number, size_at, text_at

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

    from releve.migrate.sources.domain import Domain

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
AGENT = "org.qemu.guest_agent.0"


def dns_ok(name: str | None) -> bool:
    """Say whether a name can be a host's name."""
    return bool(DNS_NAME.fullmatch(name or ""))


def libvirt_facts(root: ET.Element, domain: ET.Element, guest: Domain) -> dict[str, Any]:
    """Return what the definition says, plainly."""
    snapshot = root.tag == "domainsnapshot"
    facts: dict[str, Any] = {"root": root.tag}
    if snapshot:
        facts |= {
            "snapshot_name": text_at(root, "name"),
            "snapshot_disks": len(root.findall("disks/disk")),
        }
        if domain is root:
            return facts | {"name": None, "disks": 0, "nics": 0}
    return facts | _system(domain, guest) | _memory(domain, guest) | _devices(domain)


def _system(domain: ET.Element, guest: Domain) -> dict[str, Any]:
    cpu = domain.find("cpu")
    model = None if cpu is None or cpu.find("model") is None else text_at(cpu, "model") or ""
    return {
        "name": text_at(domain, "name"),
        "name_dns_ok": dns_ok(text_at(domain, "name")),
        "uuid": guest.uuid,
        "type": domain.get("type"),
        "arch": attribute_at(domain, "os/type", "arch"),
        "machine": guest.machine,
        "smbios_mode": attribute_at(domain, "os/smbios", "mode"),
        "boot": [boot.get("dev") for boot in domain.findall("os/boot")],
        "firmware": guest.firmware,
        "secure_boot": guest.secure_boot,
        "loader": guest.loader,
        "nvram": guest.nvram,
        "nvram_template": attribute_at(domain, "os/nvram", "template"),
        "cpu_mode": None if cpu is None else cpu.get("mode"),
        "cpu_model": model,
        "cpu_features": len(domain.findall("cpu/feature")),
        "clock": guest.clock,
        "qemu_args": len(domain.findall(f"{QEMU}commandline/{QEMU}arg")),
    }


def _memory(domain: ET.Element, guest: Domain) -> dict[str, Any]:
    now, most = size_at(domain, "currentMemory"), size_at(domain, "maxMemory")
    return {
        "memory_kib": guest.memory_kib or None,
        "current_memory_kib": None if now is None else -(-now // 1024),
        "max_memory_kib": None if most is None else -(-most // 1024),
        "vcpus_max": number(text_at(domain, "vcpu"), 1),
        "vcpus": guest.cpus,
        "numa_cells": len(domain.findall("cpu/numa/cell")),
        "memory_devices": [device.get("model") for device in domain.findall("devices/memory")],
    }


def _devices(domain: ET.Element) -> dict[str, Any]:
    drives = domain.findall("devices/disk")
    kinds = [drive.get("device", "disk") for drive in drives]
    counted = {
        "filesystems": "filesystem",
        "shmem": "shmem",
        "smartcards": "smartcard",
        "watchdogs": "watchdog",
        "rngs": "rng",
        "parallels": "parallel",
        "redirdevs": "redirdev",
        "nics": "interface",
    }
    channels = [
        one.get("name") or one.get("type") for one in domain.findall("devices/channel/target")
    ]
    tpm = domain.find("devices/tpm")
    return {
        "disks": sum(kind in {"disk", "lun"} for kind in kinds),
        "cdroms": kinds.count("cdrom"),
        "floppies": kinds.count("floppy"),
        "disk_list": [_drive(drive) for drive in drives],
        "scsi_controllers": sorted(
            {model for model in _attributes(domain, "controller[@type='scsi']", "model") if model}
        ),
        "nic_list": [_card(card) for card in domain.findall("devices/interface")],
        "hostdevs": [
            one.get("type") or attribute_at(one, "source", "type") or "?"
            for one in domain.findall("devices/hostdev")
        ],
        "tpm": tpm is not None,
        "tpm_backend": None if tpm is None else attribute_at(tpm, "backend", "type"),
        "tpm_version": None if tpm is None else attribute_at(tpm, "backend", "version"),
        "serials": _attributes(domain, "serial", "type"),
        "channels": channels,
        "agent": AGENT in channels,
        "videos": _attributes(domain, "video/model", "type"),
        "graphics": _attributes(domain, "graphics", "type"),
        **{key: len(domain.findall(f"devices/{tag}")) for key, tag in counted.items()},
    }


def _attributes(domain: ET.Element, path: str, name: str) -> list[str | None]:
    return [found.get(name) for found in domain.findall(f"devices/{path}")]


def _drive(drive: ET.Element) -> dict[str, Any]:
    source, place = drive.find("source"), None
    if source is not None:
        place = source.get("file") or source.get("dev") or source.get("dir") or source.get("path")
        if drive.get("type") == "network":
            place = f"{source.get('protocol')}:{source.get('name')}"
        elif drive.get("type") == "volume":
            place = f"{source.get('pool')}/{source.get('volume')}"
        elif drive.get("type") == "nvme":
            place = _nvme(source)
    depth = len(list(layers(drive))) - 1
    return {
        "device": drive.get("device", "disk"),
        "target": attribute_at(drive, "target", "dev"),
        "bus": disk_bus(drive),
        "type": drive.get("type", "file"),
        "source": place,
        "format": attribute_at(drive, "driver", "type"),
        **({"backing_depth": depth} if depth else {}),
    }


def _nvme(source: ET.Element) -> str:
    at = source.find("address")
    words = [] if at is None else [at.get(k, "") for k in ("domain", "bus", "slot", "function")]
    where = f"{':'.join(words[:3])}:{words[3]}" if words else "?"
    return f"nvme {where} ns {source.get('namespace')}"


def _card(card: ET.Element) -> dict[str, Any]:
    source = card.find("source")
    names = ("bridge", "network", "dev", "path", "address")
    tags = [tag.get("id") for tag in card.findall("vlan/tag")]
    return {
        "type": card.get("type"),
        "model": attribute_at(card, "model", "type"),
        "mac": attribute_at(card, "mac", "address"),
        "source": None if source is None else next(filter(None, map(source.get, names)), None),
        "vlan": tags or None,
    }
