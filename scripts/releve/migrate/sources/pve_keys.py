"""What becomes of each key of a PVE guest's file on another PVE: every key is listed here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Blocker, Part
from releve.migrate.sources.pve_conf import DRIVE, SLOTS, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.sources.pve_conf import PveConf

# Read into the guest's description, or into its disks and cards.
MAPPED = {
    *("name", "memory", "cores", "sockets", "vcpus", "smp", "cpu", "bios", "machine", "ostype"),
    *("boot", "bootdisk", "onboot", "startup", "scsihw", "smbios1", "vmgenid", "localtime"),
    *("agent", "acpi", "arch", "efidisk", "tpmstate", "net", "serial", "meta", "template", "kvm"),
}
# Settings of the old host or of comfort; said, so that a person can set them again.
DROPPED = {
    "hotplug": "what can be plugged while it runs",
    "tablet": "the pointer",
    "vga": "the display",
    "balloon": "the smallest memory",
    "shares": "the share of spare memory",
    "cpulimit": "a limit of processor time",
    "cpuunits": "a weight of processor time",
    "affinity": "the old host's processors",
    "numa": "NUMA",
    "hugepages": "memory in huge pages of the old host",
    "keephugepages": "memory in huge pages of the old host",
    "allow-ksm": "sharing of equal memory",
    "audio": "sound",
    "spice_enhancements": "the SPICE console",
    "keyboard": "the console's keyboard",
    "freeze": "frozen at start",
    "tdf": "drift of its clock",
    "startdate": "its clock's first date",
    "autostart": "start again after a crash",
    "reboot": "may it restart",
    "protection": "protection from removal",
    "tags": "tags",
    "description": "the description",
    "watchdog": "a watchdog",
    "rng": "a source of random numbers",
    "nameserver": "cloud-init",
    "searchdomain": "cloud-init",
    "ipconfig": "cloud-init",
    "cipassword": "cloud-init",
    "citype": "cloud-init",
    "ciupgrade": "cloud-init",
    "ciuser": "cloud-init",
    "sshkeys": "cloud-init",
    "migrate_downtime": "limits of live migration",
    "migrate_speed": "limits of live migration",
    "vmstatestorage": "where its memory would be saved",
    "running-nets-host-mtu": "state of the running guest",
    "runningmachine": "state of the running guest",
    "runningcpu": "state of the running guest",
    "snaptime": "time of a snapshot",
    "digest": "a checksum of the file",
    "pool": "its pool",
}
HOST_SERIAL = re.compile(r"/dev/.+")


def account(conf: PveConf) -> Iterator[tuple[Part, list[Blocker]]]:
    """Yield the fate of each key but drives, whose fate hangs on what they hold."""
    for key, value in conf.main.keys.items():
        stem = re.sub(r"\d+$", "", key)
        if DRIVE.fullmatch(key) and int(key[len(stem) :]) < SLOTS[stem]:
            continue
        if key in BLOCKING or stem in BLOCKING:
            blockers = BLOCKING.get(key, BLOCKING.get(stem, _nothing))(key, value)
            text = "; ".join(one.text for one in blockers)
            if stem == "usb" and not blockers:
                yield Part(key, "dropped", "USB redirection by the console"), []
            else:
                yield Part(key, "blocked" if blockers else "mapped", text), blockers
        elif stem in MAPPED or key in MAPPED:
            yield Part(key, "mapped"), []
        elif stem in DROPPED or key in DROPPED:
            yield Part(key, "dropped", DROPPED.get(key) or DROPPED[stem]), []
        else:
            text = f"{key} is no setting that this survey knows"
            device = key != stem  # PVE numbers devices, and only them
            yield (
                Part(key, "unknown", text),
                [Blocker("device-unknown", text)] if device else [],
            )


def _nothing(_key: str, _value: str) -> list[Blocker]:
    return []


def _pci(key: str, value: str) -> list[Blocker]:
    said = options(value, "host")
    where = said.get("host") or said.get("mapping") or "?"
    found = [Blocker("passthrough-pci", f"{key} is the old host's PCI device {where}")]
    if "mdev" in said:
        found.append(Blocker("passthrough-mdev", f"{key} is a part of a card ({said['mdev']})"))
    if "romfile" in said:
        text = f"{key} needs the file {said['romfile']} of the old host"
        found.append(Blocker("passthrough-romfile", text))
    return found


def _usb(key: str, value: str) -> list[Blocker]:
    said = options(value, "host")
    where = said.get("host") or said.get("mapping") or ""
    if where.lower() == "spice":
        return []
    return [Blocker("passthrough-usb", f"{key} is the old host's USB device {where}")]


def _serial(key: str, value: str) -> list[Blocker]:
    if HOST_SERIAL.match(value):
        return [Blocker("serial-host-device", f"{key} is the old host's port {value}")]
    if value != "socket":
        return [Blocker("serial-backend", f"{key} ends in {value}")]
    return []


def _cpu(key: str, value: str) -> list[Blocker]:
    model = options(value, "cputype").get("cputype", "")
    if model.startswith("custom-"):
        text = f"{key}: {model} is defined in the old host's cpu-models.conf"
        return [Blocker("cpu-custom-model", text)]
    return []


def _arch(_key: str, value: str) -> list[Blocker]:
    if value in {"x86_64", "i686"}:
        return []
    return [Blocker(f"arch-{value}", f"its processor is {value}")]


def _machine(_key: str, value: str) -> list[Blocker]:
    kind = options(value, "type").get("type", "")
    if re.fullmatch(r"(pc|q35)(-.*)?", kind) or not kind:
        return []
    return [Blocker(f"machine-{kind}", f"PVE starts no machine {kind} on a PC")]


def _lock(_key: str, value: str) -> list[Blocker]:
    found = [Blocker("locked", f"it is locked: {value}")]
    if value.startswith("suspend"):
        found.append(Blocker("suspended", "its memory is saved on disk: start it and shut it down"))
    return found


def _unused(key: str, value: str) -> list[Blocker]:
    volume = options(value, "file").get("file", "?")
    return [Blocker("unused-volume", f"{key}: {volume} holds data that the guest does not see")]


def _args(_key: str, value: str) -> list[Blocker]:
    return [Blocker("qemu-args", f"it has arguments for QEMU in free text: {value[:60]}")]


def _hook(_key: str, value: str) -> list[Blocker]:
    return [Blocker("hookscript", f"{value} runs on the old host when it starts and stops")]


def _custom(_key: str, value: str) -> list[Blocker]:
    return [Blocker("cicustom", f"cloud-init reads files of the old host ({value})")]


def _share(key: str, value: str) -> list[Blocker]:
    return [Blocker("share-virtiofs", f"{key} shows it the old host's folder {value}")]


def _shmem(_key: str, _value: str) -> list[Blocker]:
    return [Blocker("shmem", "it shares memory with a program of the old host")]


def _sealed(_key: str, value: str) -> list[Blocker]:
    text = f"its memory is encrypted by the old host's processor ({value})"
    return [Blocker("launch-security", text)]


def _parallel(key: str, value: str) -> list[Blocker]:
    return [Blocker("parallel", f"{key} is the old host's port {value}")]


def _vmstate(_key: str, value: str) -> list[Blocker]:
    return [Blocker("suspended", f"its memory is saved in {value}: start it and shut it down")]


def _fleecing(_key: str, value: str) -> list[Blocker]:
    return [Blocker("unused-volume", f"{value} is left over from a backup")]


def _snapstate(_key: str, value: str) -> list[Blocker]:
    return [Blocker("snapshot", f"a snapshot is under way: {value}")]


BLOCKING = {
    "hostpci": _pci,
    "usb": _usb,
    "serial": _serial,
    "cpu": _cpu,
    "arch": _arch,
    "machine": _machine,
    "lock": _lock,
    "unused": _unused,
    "args": _args,
    "hookscript": _hook,
    "cicustom": _custom,
    "virtiofs": _share,
    "ivshmem": _shmem,
    "amd-sev": _sealed,
    "amd_sev": _sealed,
    "intel-tdx": _sealed,
    "parallel": _parallel,
    "vmstate": _vmstate,
    "fleecing-images": _fleecing,
    "snapstate": _snapstate,
    "parent": _nothing,
}
