"""A guest's configuration file, /etc/pve/qemu-server/VMID.conf."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from .formats import PROPERTY_STRINGS, split_list
from .place import write_text
from .refusal import fault

if TYPE_CHECKING:
    from .place import Place

Config = dict[str, str]
INTEGERS = {"cores", "sockets", "balloon"}
BOOLEANS = {"onboot", "protection", "kvm", "acpi", "tablet", "agent", "localtime"}
DISK = re.compile(r"^(virtio|scsi|sata|ide|efidisk|tpmstate)\d+$")
HIDDEN = {"efidisk0", "tpmstate0"}  # volumes that the guest does not see as disks
NIC = re.compile(r"^net\d+$")
STOP_SECONDS = 180


def read(place: Place, vmid: int) -> Config:
    """Return the keys and values of a guest, or refuse in PVE's words when it is not there."""
    path = place.guests / f"{vmid}.conf"
    try:
        written = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        missing = f"Configuration file 'nodes/{place.node}/qemu-server/{vmid}.conf' does not exist"
        raise fault(missing) from None
    config: Config = {}
    for line in written.splitlines():
        if line.startswith("#"):
            config["description"] = config.get("description", "") + unquote(line[1:]) + "\n"
        elif ": " in line:
            key, _, value = line.partition(": ")
            config[key] = value
    if "description" in config:
        config["description"] = config["description"].removesuffix("\n")
    return config


def write(place: Place, vmid: int, config: Config) -> None:
    """Write the file whole."""
    write_text(place.guests / f"{vmid}.conf", _text(config))


def _text(config: Config) -> str:
    lines = [f"#{quote(line, safe=' !,.()')}" for line in config.get("description", "").split("\n")]
    lines = lines if config.get("description") else []
    lines += [f"{key}: {config[key]}" for key in sorted(config) if key != "description"]
    return "\n".join(lines) + "\n"


def digest(config: Config) -> str:
    """Return what PVE calls the digest: changes when the file does."""
    return hashlib.sha1(_text(config).encode(), usedforsecurity=False).hexdigest()


def shown(config: Config) -> dict[str, Any]:
    """Return the configuration as the API shows it: some keys are numbers, others are not."""
    answer: dict[str, Any] = {
        key: int(value) if key in INTEGERS | BOOLEANS and value.isdigit() else value
        for key, value in config.items()
    }
    return answer | {"digest": digest(config)}


def disks(config: Config) -> dict[str, dict[str, str]]:
    """Return slot -> properties of the disks, those of EFI and TPM included."""
    return {
        key: PROPERTY_STRINGS["disk"].parse(value)
        for key, value in sorted(config.items())
        if DISK.match(key)
    }


def nics(config: Config) -> dict[str, dict[str, str]]:
    """Return slot -> properties of the network cards."""
    return {
        key: PROPERTY_STRINGS["nic"].parse(value)
        for key, value in sorted(config.items())
        if NIC.match(key)
    }


def startup(config: Config) -> tuple[int | None, int, int]:
    """Return a guest's order (None: after all others), seconds after its start, seconds to stop."""
    order, up, down = None, 0, STOP_SECONDS
    for word in split_list(config.get("startup", "")):
        key, _, value = word.rpartition("=")
        if key in {"", "order"}:
            order = int(value)
        elif key == "up":
            up = int(value)
        else:
            down = int(value)
    return order, up, down


def listed(place: Place) -> list[int]:
    """Return the numbers of all guests."""
    return sorted(int(path.stem) for path in place.guests.glob("*.conf") if path.stem.isdigit())
