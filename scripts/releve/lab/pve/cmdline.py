"""The QEMU command line of a guest, with the names that PVE gives its nodes and devices."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from . import guestfile
from .formats import PROPERTY_STRINGS
from .refusal import fault

if TYPE_CHECKING:
    from .guestfile import Config
    from .place import Place
    from .volumes import Storages

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
NICS = {"virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139"}
FIRST_BOOT_INDEX = 100
RECONNECT_MS_SINCE = (9, 2)
# As PVE does: a state is made where there is none, and the emulator ends with its QEMU.
TPM = """\
state=$1 socket=$2 two=$3
shift 3
swtpm_setup --tpmstate "file://$state" --createek --lock-nvram --runas 0 --not-overwrite \
  ${two:+$two --ecc} >&2
swtpm socket --tpmstate "backend-uri=file://$state,mode=0600" $two \
  --ctrl "type=unixio,path=$socket,mode=0600" --terminate --daemon
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Qemu:
    """What this host's QEMU is and can do."""

    version: tuple[int, int]
    kvm: bool


def command(place: Place, storages: Storages, vmid: int, config: Config, qemu: Qemu) -> list[str]:
    """Return the words that start a guest, paused (its links are set before it runs)."""
    name = config.get("name", f"VM{vmid}")
    words = ["/usr/bin/qemu-system-x86_64", "-name", f"{name},debug-threads=on", "-no-shutdown"]
    words += ["-daemonize", "-S", "-nodefaults", "-display", "none", "-no-user-config"]
    words += ["-pidfile", str(place.run / f"{vmid}.pid")]
    words += _monitors(place, vmid, qemu)
    words += _board(storages, config, qemu)
    words += _controllers(config)
    order = _boot_order(config)
    for slot, disk in guestfile.disks(config).items():
        if slot not in guestfile.HIDDEN:
            words += _disk(storages, slot, disk, order)
    for slot, nic in guestfile.nics(config).items():
        words += _nic(vmid, slot, nic, order)
    words += _serial_ports(place, vmid, config)
    if "tpmstate0" not in config:
        return words
    words += ["-chardev", f"socket,id=tpmchar,path={place.run}/{vmid}.swtpm"]
    words += ["-tpmdev", "emulator,id=tpmdev,chardev=tpmchar", "-device", "tpm-tis,tpmdev=tpmdev"]
    return ["/bin/sh", "-ec", TPM, *_tpm_words(place, storages, vmid, config), *words]


def tap(vmid: int, slot: str) -> str:
    """Return the name of the host's end of a network card."""
    return f"tap{vmid}i{slot.removeprefix('net')}"


def _tpm_words(place: Place, storages: Storages, vmid: int, config: Config) -> list[str]:
    """Return what the lines of `TPM` want to know."""
    disk = guestfile.disks(config)["tpmstate0"]
    file = storages.split(disk["file"])[2]
    two = PROPERTY_STRINGS["tpmstate"].parse(config["tpmstate0"]).get("version") == "v2.0"
    return ["tpm", str(file), f"{place.run}/{vmid}.swtpm", "--tpm2" if two else ""]


def _monitors(place: Place, vmid: int, qemu: Qemu) -> list[str]:
    reconnect = "reconnect-ms=5000" if qemu.version >= RECONNECT_MS_SINCE else "reconnect=5"
    return [
        "-chardev",
        f"socket,id=qmp,path={place.run}/{vmid}.qmp,server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
        "-chardev",
        f"socket,id=qmp-event,path={place.events},{reconnect}",
        "-mon",
        "chardev=qmp-event,mode=control",
    ]


def _board(storages: Storages, config: Config, qemu: Qemu) -> list[str]:
    machine = re.sub(r"\+pve\d+$", "", config.get("machine", "pc").split(",")[0])
    cores, sockets = int(config.get("cores", "1")), int(config.get("sockets", "1"))
    kvm = qemu.kvm and config.get("kvm", "1") == "1"
    words = ["-accel", "kvm" if kvm else "tcg,thread=multi", "-cpu", processor(config, kvm=kvm)]
    words += ["-smp", f"{cores * sockets},sockets={sockets},cores={cores}"]
    words += ["-m", memory(config), "-vga", "none"]
    words += smbios(config) + _clock(config)
    if config.get("bios", "seabios") != "ovmf":
        return [*words, "-boot", "strict=on", "-machine", machine]
    if "efidisk0" not in config:
        message = "no efidisk configured! The double needs one for OVMF."
        raise fault(message)
    variables = storages.split(guestfile.disks(config)["efidisk0"]["file"])[2]
    code = {"driver": "file", "filename": str(FIRMWARE)}
    words += [
        "-blockdev",
        json.dumps({"driver": "raw", "node-name": "pflash0", "read-only": True, "file": code}),
    ]
    words += _node("efidisk0", variables, throttled=False)
    return [*words, "-machine", f"{machine},pflash0=pflash0,pflash1=drive-efidisk0"]


def smbios(config: Config) -> list[str]:
    """Return what the guest reads of its maker; texts are base64 where the configuration says so.

    A comma in a value is doubled for QEMU.
    """
    said = PROPERTY_STRINGS["smbios1"].parse(config.get("smbios1", ""))
    coded = said.pop("base64", "0") == "1"
    words = []
    for key in ("uuid", "manufacturer", "product", "version", "serial", "sku", "family"):
        text = said.get(key)
        if text is None:
            continue
        if coded and key != "uuid":
            text = base64.b64decode(text).decode()
        words.append(f"{key}={text.replace(',', ',,')}")
    return ["-smbios", ",".join(["type=1", *words])] if words else []


def processor(config: Config, *, kvm: bool) -> str:
    """Return the processor with its flags; without one, all that the host or TCG has."""
    said = PROPERTY_STRINGS["cpu"].parse(config["cpu"]) if "cpu" in config else {}
    model = said.get("cputype", "host" if kvm else "max")
    return ",".join([model, *filter(None, said.get("flags", "").split(";"))])


def _clock(config: Config) -> list[str]:
    words = ["-rtc", "base=localtime"] if config.get("localtime") == "1" else []
    generation = config.get("vmgenid", "0")
    return [*words, "-device", f"vmgenid,guid={generation}"] if len(generation) > 1 else words


def memory(config: Config) -> str:
    """Return a guest's memory in MiB."""
    return PROPERTY_STRINGS["memory"].parse(config.get("memory", "512"))["current"]


def _controllers(config: Config) -> list[str]:
    words = []
    slots = guestfile.disks(config)
    if any(slot.startswith("scsi") for slot in slots):
        if not config.get("scsihw", "lsi").startswith("virtio-scsi"):
            message = "the double knows the controllers virtio-scsi-pci and virtio-scsi-single only"
            raise fault(message)
        words += ["-device", "virtio-scsi-pci,id=scsihw0"]
    if any(slot.startswith("sata") for slot in slots):
        words += ["-device", "ahci,id=ahci0"]
    if any(slot.startswith("ide") for slot in slots):
        words += [
            "-device",
            "piix3-ide,id=ide0" if "q35" not in config.get("machine", "pc") else "ahci,id=ide0",
        ]
    return words


def _boot_order(config: Config) -> dict[str, int]:
    slots = config.get("boot", "").removeprefix("order=").split(";")
    return {slot: FIRST_BOOT_INDEX + number for number, slot in enumerate(slots) if slot}


def _disk(storages: Storages, slot: str, disk: dict[str, str], order: dict[str, int]) -> list[str]:
    file = storages.split(disk["file"])[2]
    if not file.exists():
        raise fault(f"volume '{disk['file']}' does not exist")
    bus, number = re.sub(r"\d", "", slot), re.sub(r"\D", "", slot)
    device = {
        "virtio": "virtio-blk-pci",
        "scsi": f"scsi-hd,bus=scsihw0.0,scsi-id={number}",
        "sata": f"ide-hd,bus=ahci0.{number}",
        "ide": f"ide-hd,bus=ide0.{number}",
    }[bus]
    boot = f",bootindex={order[slot]}" if slot in order else ""
    boot += f",serial={unquote(disk['serial'])}" if "serial" in disk else ""
    boot += f",wwn={disk['wwn']}" if "wwn" in disk and bus == "scsi" else ""
    words = ["-object", f"throttle-group,id=throttle-drive-{slot}"]
    words += _node(slot, file, throttled=True)
    return [*words, "-device", f"{device},drive=drive-{slot},id={slot}{boot}"]


def _node(slot: str, file: Path, *, throttled: bool) -> list[str]:
    """Return the block nodes as PVE stacks them: throttle filter, format, file."""
    short = hashlib.sha256(str(file).encode()).hexdigest()[:30]
    form = file.suffix.removeprefix(".")
    protocol = {"driver": "file", "node-name": f"e{short}", "filename": str(file)}
    name = f"f{short}" if throttled else f"drive-{slot}"
    node: dict[str, object] = {"driver": form, "node-name": name, "file": protocol}
    if throttled:
        group = f"throttle-drive-{slot}"
        node = {
            "driver": "throttle",
            "node-name": f"drive-{slot}",
            "throttle-group": group,
            "file": node,
        }
    return ["-blockdev", json.dumps(node)]


def _nic(vmid: int, slot: str, nic: dict[str, str], order: dict[str, int]) -> list[str]:
    if nic["model"] not in NICS:
        raise fault(f"the double knows the network cards {', '.join(NICS)} only")
    boot = f",bootindex={order[slot]}" if slot in order else ""
    device = f"{NICS[nic['model']]},mac={nic['macaddr']},netdev={slot},id={slot}{boot}"
    netdev = f"tap,id={slot},ifname={tap(vmid, slot)},script=no,downscript=no"
    if "bridge" not in nic:
        netdev = f"user,id={slot},restrict=on"
    return ["-netdev", netdev, "-device", device]


def _serial_ports(place: Place, vmid: int, config: Config) -> list[str]:
    words = []
    for slot in sorted(key for key in config if re.fullmatch(r"serial\d", key)):
        socket = f"path={place.run}/{vmid}.{slot},server=on,wait=off"
        kept = f"logfile={place.consoles}/{vmid}.{slot},logappend=on"
        words += ["-chardev", f"socket,id={slot},{socket},{kept}"]
        words += ["-device", f"isa-serial,chardev={slot}"]
    return words
