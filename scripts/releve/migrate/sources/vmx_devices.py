"""What becomes of each device of a VMware guest on Proxmox VE."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.migrate.sources.devices import DevicesFound
from releve.migrate.sources.domain import Blocker, DiskFound, NicFound, Part

if TYPE_CHECKING:
    from releve.migrate.sources.vmx import Vmx

SLOTS = {"scsi": 31, "sata": 6, "ide": 4}
DRIVE = re.compile(r"(scsi|ide|sata|nvme)([0-9]{1,3}):([0-9]{1,3})")
DELTA = re.compile(r".*-\d{6}\.vmdk", re.IGNORECASE)
ADDRESS = re.compile(r"(?!00:00:00:00:00:00)([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
NO_MEDIUM = {"", "vmware-null-remote-floppy", "emptybackingstring"}
SCSI_MODELS = {"lsilogic", "lsisas1068", "pvscsi"}
NICS = {"vlance": "pcnet", "e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "vmxnet3"}
LOST_MODES = ("nonpersistent", "undoable", "append")
SHARED = {"virtual", "physical"}
# Devices that PVE replaces by its own or that are not carried over: prefix -> why.
DROPPED = {
    "pcibridge": "PVE's own bridges",
    "sound": "sound is not carried over",
    "svga": "PVE's default display",
    "usb": "PVE's own USB controller",
    "usb_xhci": "PVE's own USB controller",
    "ehci": "PVE's own USB controller",
    "vmci": "VMware's channel to its host",
    "hpet": "PVE's own timers",
    "mks": "VMware's console",
    "tools": "VMware's tools",
    "remotedisplay": "VMware's console",
    "vwdt": "VMware's watchdog",
    "precisionclock": "VMware's clock device",
}


@dataclass(slots=True)
class Found(DevicesFound):
    """What a file has: disks and cards in our words, drives and cards in VMware's."""

    drives: list[dict[str, Any]] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)


def account(vmx: Vmx) -> Found:
    """Return all devices that are present, with their fates."""
    found, devices = Found(), vmx.devices()
    present = {name: said for name, said in devices.items() if _yes(said.get("present"))}
    for name in sorted(present, key=_natural):
        said = present[name]
        if drive := DRIVE.fullmatch(name):
            controller = present.get(f"{drive[1]}{drive[2]}")
            if drive[1] == "ide" or controller is not None:
                _drive(found, name, drive[1], said, controller or {})
            else:
                text = f"its controller {drive[1]}{drive[2]} is not present"
                found.parts.append(Part(name, "dropped", text))
        elif re.fullmatch(r"scsi\d+", name):
            _controller(found, said)
        else:
            _other(found, name, said)
    for name in devices.keys() - present.keys():
        if DRIVE.fullmatch(name) and devices[name].get("filename"):
            found.parts.append(Part(name, "dropped", "named there, but not present"))
    _settings(found, vmx)
    _together(found)
    return found


def _yes(text: str | None) -> bool:
    return (text or "").lower() == "true"


def _natural(name: str) -> list[tuple[str, int]]:
    return [(word, int(digits)) for word, digits in re.findall(r"([a-z_:]+)([0-9]{1,9})", name)]


def _controller(found: Found, said: dict[str, str]) -> None:
    model = (said.get("virtualdev") or "").lower()
    if model:
        found.controllers.append(model)


def _drive(
    found: Found, name: str, bus: str, said: dict[str, str], controller: dict[str, str]
) -> None:
    kind, file = (said.get("devicetype") or "").lower(), said.get("filename") or ""
    shown = {"slot": name, "file": file, "type": kind or None}
    found.drives.append(shown)
    if kind == "scsi-passthru":
        text = f"{name} is the old host's device {file}"
        found.add("cdrom", name, "", Blocker("passthrough-scsi", text))
    elif "cdrom" in kind:
        found.add("cdrom", name, "a CD-ROM's medium is not carried over")
    else:
        _disk(found, name, bus, said, controller)


def _disk(
    found: Found, name: str, bus: str, said: dict[str, str], controller: dict[str, str]
) -> None:
    file, blockers = said.get("filename") or "", []
    model = (controller.get("virtualdev") or "").lower() or None
    mode = (said.get("mode") or "").lower()
    if not file:
        blockers.append(Blocker("disk-source-missing", f"{name} names no file"))
    if DELTA.fullmatch(file) or said.get("redo"):
        text = f"{name}: {file} is a snapshot's delta: delete all snapshots first"
        blockers.append(Blocker("snapshot", text))
    if mode.endswith(LOST_MODES):
        text = f"{name} loses its writes at power-off ({mode})"
        blockers.append(Blocker("disk-nonpersistent", text))
    shared = (controller.get("sharedbus") or "").lower() in SHARED
    if shared or "multi-writer" in (said.get("sharing") or "").lower() or _yes(said.get("shared")):
        blockers.append(Blocker("disk-shareable", f"{name} may be used by several guests at once"))
    kind = (said.get("devicetype") or "").lower()
    if kind.startswith("raw") or re.search(r"-rdmp?\.vmdk$", file.lower()):
        blockers.append(Blocker("disk-rdm", f"{name} is a disk or LUN of the old host"))
    if bus == "scsi":
        found.scsi.append(model or "lsilogic")
    found.disks.append(
        DiskFound(
            target=name.replace(":", "-"),
            bus="scsi" if bus == "nvme" else bus,
            type="file",
            source=file or None,
            format="vmdk",
            controller=model or bus,
        )
    )
    found.add("disk", name, "", *blockers)
    if bus == "nvme":
        found.notes.append(f"{name} hangs on NVMe, which PVE has not: it becomes scsi")


def _other(found: Found, name: str, said: dict[str, str]) -> None:
    kind = re.sub(r"\d+(:\d+)?$", "", name)
    file = said.get("filename") or ""
    if kind == "ethernet":
        _card(found, name, said)
    elif kind == "floppy":
        _floppy(found, name, said)
    elif kind == "serial":
        _serial(found, name, said)
    elif kind == "parallel":
        found.add("parallel", name, "", Blocker("parallel", f"{name} is a parallel port: {file}"))
    elif kind == "sharedfolder":
        text = f"{name}: the folder {said.get('hostpath') or '?'} of the old host is shown to it"
        found.add("share", name, "", Blocker("shared-dir", text))
    elif kind == "pcipassthru":
        what = said.get("vgpu")
        id_ = "passthrough-mdev" if what else "passthrough-pci"
        text = f"{name} is the old host's device {what or said.get('id') or ''}".rstrip()
        several = [Blocker("passthrough-pci", text)] if what else []
        found.add("hostdev", name, "", Blocker(id_, text), *several)
    elif kind in {"sata", "ide", "nvme"}:
        found.parts.append(Part(name, "replaced", "PVE's own controller"))
    elif kind == "nvdimm":
        found.add("memory", name, "", Blocker("memory-nvdimm", f"{name} is no plain RAM"))
    elif kind in DROPPED:
        found.parts.append(Part(name, "dropped", DROPPED[kind]))
    else:
        text = f"a device {name} that this survey does not know"
        found.parts.append(Part(name, "unknown", text))
        found.blockers.append(Blocker("device-unknown", text))


def _card(found: Found, name: str, said: dict[str, str]) -> None:
    model = (said.get("virtualdev") or "").lower()
    mac = said.get("generatedaddress") or said.get("address") or None
    kind = said.get("addresstype") or ""
    if kind.lower() == "static":
        mac = said.get("address") or mac
    network, connection = said.get("networkname") or None, said.get("connectiontype") or None
    found.cards.append(
        {
            "slot": name,
            "model": said.get("virtualdev") or None,
            "type": connection,
            "network": network,
            "mac": mac,
            "addresstype": kind or None,
        }
    )
    blockers = []
    if model == "sriov" or any(key.startswith("pcipassthru") for key in said):
        blockers.append(Blocker("passthrough-pci", f"{name} is a part of the old host's card"))
    elif model and model not in NICS and model != "flexible":
        blockers.append(Blocker("nic-model", f"{name} is a {model}, which PVE lacks"))
    if not model:
        found.notes.append(f"{name} says no model: e1000 is taken; look inside the guest")
    if mac is None:
        found.notes.append(f"{name} has no address yet: PVE will give it one")
    if network is None and (connection or "").lower() not in {"nat", "bridged", "hostonly"}:
        group = said.get("dvs.portgroupid") or "?"
        found.notes.append(f"{name} hangs on a port group that the file does not name ({group})")
    found.nics.append(
        NicFound(
            type="user" if (connection or "").lower() == "nat" else "bridge",
            mac=mac.lower() if mac and ADDRESS.fullmatch(mac) else None,
            model=NICS.get(model, "e1000" if not model or model == "flexible" else model),
            source=network,
            linked=(said.get("startconnected") or "true").lower() != "false",
        )
    )
    found.add("nic", name, "", *blockers)


def _floppy(found: Found, name: str, said: dict[str, str]) -> None:
    """A floppy blocks when it has a medium that is there at start."""
    file = (said.get("filename") or "").lower()
    empty = file in NO_MEDIUM or _yes(said.get("clientdevice"))
    if empty or (said.get("startconnected") or "true").lower() == "false":
        found.add("floppy", name, "an empty floppy drive")
        return
    text = f"PVE has no floppy drive; {name} has {said.get('filename')}"
    found.add("floppy", name, "", Blocker("floppy", text))


def _serial(found: Found, name: str, said: dict[str, str]) -> None:
    kind, file = (said.get("filetype") or "").lower(), said.get("filename") or ""
    if kind == "thinprint" or not (kind or file):
        found.add("serial", name, "VMware's printing" if kind else "a serial port without an end")
    elif kind == "device" or (not kind and file.startswith(("/dev/", "COM"))):
        text = f"{name} is the old host's port {file}"
        found.add("serial", name, "", Blocker("serial-host-device", text))
    else:
        text = f"{name} ends in a {kind or 'file'} of the old host ({file})"
        found.add("serial", name, "", Blocker("serial-backend", text))


def _settings(found: Found, vmx: Vmx) -> None:
    """Look at the settings that belong to no numbered device."""
    for key, value in vmx.keys.items():
        if key.startswith("usb.autoconnect.device") and value:
            text = f"a USB device of the old host is plugged in at start ({value[:40]})"
            found.add("hostdev", key, "", Blocker("passthrough-usb", text))
        elif key.startswith(("encryption.", "encryptedvm.", "datafilekey")) and value:
            text = "it is encrypted by VMware: decrypt it there first"
            found.blockers.append(Blocker("encrypted", text))
    if vmx.yes("vtpm.present") or vmx.yes("managedvm.autoaddvtpm"):
        text = "a TPM of VMware: its state cannot travel; have recovery keys before the move"
        found.add("tpm", "vtpm", "", Blocker("tpm-vmware", text))
    if vmx.get("checkpoint.vmstate"):
        text = f"its memory is saved in {vmx.get('checkpoint.vmstate')}: shut it down"
        found.blockers.append(Blocker("suspended", text))
    if vmx.yes("smbios.reflecthost"):
        found.blockers.append(Blocker("smbios-host", "it shows the old host's identity"))
    if vmx.yes("sev.enable") or vmx.yes("sgx.enable") or vmx.yes("tdx.enable"):
        text = "its memory is encrypted by the old host's processor"
        found.blockers.append(Blocker("launch-security", text))


def _together(found: Found) -> None:
    models = sorted(set(found.scsi))
    for model in models:
        if model not in SCSI_MODELS:
            text = f"PVE has no SCSI controller {model}"
            found.blockers.append(Blocker("scsi-controller-model", text))
    if len(models) > 1:
        text = f"controllers {', '.join(models)}: PVE has one model per guest"
        found.blockers.append(Blocker("scsi-controllers-mixed", text))
    if "lsisas1068" in models:
        found.notes.append("lsisas1068 becomes PVE's lsi, which needs another driver inside")
    for bus, count in Counter(disk.bus for disk in found.disks).items():
        if count > SLOTS[bus]:
            text = f"{count} disks on {bus}, where PVE has {SLOTS[bus]}"
            found.blockers.append(Blocker("too-many-disks", text))
    for source, count in Counter(disk.source for disk in found.disks if disk.source).items():
        if count > 1:
            text = f"{source} stands behind {count} disks"
            found.blockers.append(Blocker("disk-duplicate-volume", text))
