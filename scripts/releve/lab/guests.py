"""The old host's guests: their disks, built once and kept, and their libvirt domains.

The first disk has the system. Others are empty, but for the last one: it holds LVM, with a volume
group of the name that an installation of Proxmox VE gives its own. The system disk of a guest with
several, if it is a qcow2, has a backing file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.lab.cache import cache_folder, key_of, locked
from releve.lab.domains import IMAGES_FOLDER, domain, file_name
from releve.lab.hosts import SOURCE, copy_sparse
from releve.lab.images import IMAGES
from releve.lab.lvm import write_group
from releve.lab.podman import podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from releve.town.model import Guest, Town

LEAST_MIB = 64  # of a further disk: the guest writes below that
LVM_GROUP = "pve"


def disk_of(town: Town, name: str) -> Path:
    """Return the file of a guest's system disk in the cache, whether or not it is there yet."""
    guest, settings = town.guests[name], _settings(town, name)
    sources = [file.read_bytes() for file in sorted((SOURCE / "guest").iterdir())]
    key = key_of(settings, IMAGES["guest"].key, *sources)
    return cache_folder() / "guests" / f"{name}-{key}.{guest.disks[0].format}"


def _settings(town: Town, name: str) -> dict[str, str]:
    """Return what build.sh wants to know of a guest; raises InputError where the lab cannot."""
    guest = town.guests[name]
    if len(guest.nics) != 1:
        message = f"guests.{name}: a guest of the lab has one network card"
        raise InputError(message)
    for disk in guest.disks[1:]:
        if disk.format != "raw" or disk.size_mib < LEAST_MIB:
            message = f"guests.{name}.disks: a further disk is raw, of {LEAST_MIB} MiB or more"
            raise InputError(message)
    nic, witness = guest.nics[0], guest.witness
    if nic.address is None or witness is None:
        message = f"guests.{name}: a guest of the lab needs nics[0].address and witness.port"
        raise InputError(message)
    return {
        "FIRMWARE": guest.firmware,
        "FORMAT": guest.disks[0].format,
        "SIZE": str(guest.disks[0].size_mib),
        "DISKS": str(len(guest.disks)),
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


def write_disks(town: Town, host: str, tree: Path, names: Iterable[str] | None = None) -> None:
    """Put into the tree of an old host the disks and definitions of its guests, or of `names`."""
    for name, guest in _of(town, host, names).items():
        folder = tree / IMAGES_FOLDER
        copy_sparse(disk_of(town, name), folder / _base(name, guest))
        for disk in guest.disks[1:]:
            with (folder / file_name(name, disk, guest)).open("wb") as stream:
                stream.truncate(disk.size_mib << 20)
        if len(guest.disks) > 1:
            write_group(folder / file_name(name, guest.disks[-1], guest), LVM_GROUP)
        definition = tree / "root" / f"{name}.xml"
        definition.write_text(domain(town, name))
        definition.chmod(0o600)


def _base(name: str, guest: Guest) -> str:
    """Return the file that has the system as it was built."""
    written = file_name(name, guest.disks[0], guest)
    return f"{name}-base.qcow2" if _chained(guest) else written


def _chained(guest: Guest) -> bool:
    return len(guest.disks) > 1 and guest.disks[0].format == "qcow2"


def define_script(town: Town, host: str, names: Iterable[str] | None = None) -> str:
    """Return the shell lines that define the guests at the old host's libvirt and start them."""
    lines = ["set -eu"]
    for name, guest in _of(town, host, names).items():
        if _chained(guest):
            base, top = _base(name, guest), file_name(name, guest.disks[0], guest)
            words = f"qemu-img create -q -f qcow2 -F qcow2 -b {base} {top}"
            lines.append(f"(cd /{IMAGES_FOLDER} && {words})")
        lines.append(f"virsh --quiet define /root/{name}.xml")
        lines.append(f"rm /root/{name}.xml")
        if guest.autostart:
            lines.append(f"virsh --quiet autostart {name}")
        lines.append(f"virsh --quiet start {name}")
    return "\n".join(lines)


def _of(town: Town, host: str, names: Iterable[str] | None) -> dict[str, Guest]:
    chosen = town.guests.keys() if names is None else set(names)
    return {
        name: guest
        for name, guest in town.guests.items()
        if guest.source == host and name in chosen
    }
