"""The old host's guests: their disks, built once and kept, and their libvirt domains."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from releve.errors import InputError
from releve.lab.cache import cache_folder, key_of, locked
from releve.lab.hosts import SOURCE, copy_sparse
from releve.lab.images import IMAGES
from releve.lab.podman import podman

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.town.model import Guest, Town

IMAGES_FOLDER = "var/lib/libvirt/images"
_FIRMWARE = "/usr/share/OVMF"


def disk_of(town: Town, name: str) -> Path:
    """Return the file of a guest's disk in the cache, whether or not it is there yet."""
    guest, settings = town.guests[name], _settings(town, name)
    sources = [file.read_bytes() for file in sorted((SOURCE / "guest").iterdir())]
    key = key_of(settings, IMAGES["guest"].key, *sources)
    return cache_folder() / "guests" / f"{name}-{key}.{guest.disks[0].format}"


def _settings(town: Town, name: str) -> dict[str, str]:
    """Return what build.sh wants to know of a guest; raises InputError where the lab cannot."""
    guest = town.guests[name]
    if len(guest.disks) != 1 or len(guest.nics) != 1:
        message = f"guests.{name}: a guest of the lab has one disk and one network card"
        raise InputError(message)
    nic, witness = guest.nics[0], guest.witness
    if nic.address is None or witness is None:
        message = f"guests.{name}: a guest of the lab needs nics[0].address and witness.port"
        raise InputError(message)
    return {
        "FIRMWARE": guest.firmware,
        "FORMAT": guest.disks[0].format,
        "SIZE": str(guest.disks[0].size_mib),
        "ADDRESS": f"{nic.address}/{town.networks[nic.network].cidr.prefixlen}",
        "PORT": str(witness.port),
    }


def ensure(town: Town, tell: Callable[[str], None]) -> None:
    """Build the disks that the cache does not have; `tell` gets one line for each."""
    with locked("guests"):
        for name in town.guests:
            if not disk_of(town, name).exists():
                _build(town, name)
                tell(f"guest {name} built")


def _build(town: Town, name: str) -> None:
    disk = disk_of(town, name)
    disk.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk.parent, prefix=".part-") as scratch:
        podman(
            "run",
            "--rm",
            "--pull=never",
            "--network=none",
            *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
            *(f"--env={key}={value}" for key, value in _settings(town, name).items()),
            f"--volume={SOURCE / 'guest'}:/source:ro",
            f"--volume={scratch}:/out",
            IMAGES["guest"].reference,
            *("sh", "/source/build.sh"),
            timeout=300,
        )
        (Path(scratch) / "disk").replace(disk)


def write_disks(town: Town, host: str, tree: Path) -> None:
    """Put into the tree of a stopped old host the disks and definitions of its guests."""
    for name, guest in _of(town, host).items():
        copy_sparse(disk_of(town, name), tree / IMAGES_FOLDER / disk_name(name, guest))
        definition = tree / "root" / f"{name}.xml"
        definition.write_text(domain(town, name))
        definition.chmod(0o600)


def disk_name(name: str, guest: Guest) -> str:
    """Return the file name of a guest's disk on the old host."""
    return f"{name}.{guest.disks[0].format}"


def define_script(town: Town, host: str) -> str:
    """Return the shell lines that define the guests at the old host's libvirt and start them."""
    lines = ["set -eu"]
    for name, guest in _of(town, host).items():
        lines.append(f"virsh --quiet define /root/{name}.xml")
        lines.append(f"rm /root/{name}.xml")
        if guest.autostart:
            lines.append(f"virsh --quiet autostart {name}")
        lines.append(f"virsh --quiet start {name}")
    return "\n".join(lines)


def _of(town: Town, host: str) -> dict[str, Guest]:
    return {name: guest for name, guest in town.guests.items() if guest.source == host}


def domain(town: Town, name: str) -> str:
    """Return a guest's libvirt definition."""
    guest = town.guests[name]
    nic, disk = guest.nics[0], guest.disks[0]
    loader = nvram = ""
    boot = "<boot dev='hd'/>"
    if guest.firmware == "uefi":
        loader = f"<loader readonly='yes' type='pflash'>{_FIRMWARE}/OVMF_CODE_4M.fd</loader>"
        nvram = (
            f"<nvram template='{_FIRMWARE}/OVMF_VARS_4M.fd'>"
            f"/var/lib/libvirt/qemu/nvram/{name}.fd</nvram>"
        )
    path = quoteattr(f"/{IMAGES_FOLDER}/{disk_name(name, guest)}")
    return f"""<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{guest.memory_mib}</memory>
  <vcpu>{guest.cpus}</vcpu>
  <os><type arch='x86_64' machine='{guest.machine}'>hvm</type>{loader}{nvram}{boot}</os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='{disk.format}' cache='none'/>
      <source file={path}/>
      <target dev='{disk.name}' bus='{disk.bus}'/>
    </disk>
    <interface type='bridge'>
      <mac address='{nic.mac}'/>
      <source bridge='{town.networks[nic.network].bridge}'/>
      <model type='{nic.model}'/>
    </interface>
    <serial type='pty'><log file='/var/log/{name}.console' append='on'/></serial>
  </devices>
</domain>
"""
