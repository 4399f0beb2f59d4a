"""What each host of the lab is: image, rights, mounts, and the files it starts with."""

from __future__ import annotations

import configparser
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.lab.images import IMAGES, REPOSITORY_MOUNT, repository

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from releve.town.model import Town

SOURCE = Path(__file__).parent
# Where the hosts find what the lab lends them.
DOUBLE_MOUNT = "/usr/lib/releve-lab"
UPS_DRIVER_MOUNT = "/usr/lib/releve-ups"
WORLD_MOUNT = "/run/releve-world"
# Where a Python finds what it begins with, and what the lab gives it there.
PYTHON, COMPILED = "usr/lib/python3/dist-packages", SOURCE / "compiled_modules.py"
IMAGE_OF_KIND = {"old": "old", "node": "node", "bay": "host", "vault": "host"}
_GUEST_HOST = ("--cap-add", "NET_RAW,SYS_ADMIN", "--device", "/dev/net/tun")
# A host that a UPS feeds: the shadow drill makes namespaces there, as root of a real host may.
_NAMESPACES = ("--cap-add", "SYS_ADMIN")
_FUSE = Path("/dev/fuse")
# A host that may unmount would do so with what the lab lends it, before NUT's last hook has cut
# the power with the driver that lies there.
_STAY_MOUNTED = "[Unit]\nDefaultDependencies=no\n"
# A container has its machine's boot number, the same one however often it is started.
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_BOOT_UNIT = f"""\
[Unit]
Description=Give this boot a number of its own
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid >/run/boot-id'
ExecStart=/bin/mount --bind -o ro /run/boot-id {BOOT_ID}
"""


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One host as podman gets it; `bridge` is where its guests' network cards go."""

    name: str
    image: str
    address: IPv4Address
    options: tuple[str, ...] = ()
    bridge: str | None = None
    login: bool = True
    repository: bool = True
    units: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Loan:
    """What the lab lends a host beside its image.

    `world`: folder of the world of a UPS on this host; `disk`: folder of a mounted btrfs and where
    the host has it; `bridge`: the host has guests, on this bridge; `double`: it answers as PVE;
    `fed`: it stops when a UPS says so.
    """

    image: str
    world: Path | None = None
    disk: tuple[Path, str] | None = None
    bridge: str | None = None
    double: bool = False
    fed: bool = False


def specs_of(town: Town, state: Path) -> dict[str, HostSpec]:
    """Return the hosts of a town's lab; `state` is the lab's folder (disks, world of the UPS)."""
    specs = {}
    for name, host in town.hosts.items():
        with_guests = host.kind in {"old", "node"}
        loan = Loan(
            IMAGE_OF_KIND[host.kind],
            world=state / "world" if any(ups.host == name for ups in town.ups.values()) else None,
            disk=(state / "vault", str(town.vault.path))
            if host.kind == "vault" and town.vault
            else None,
            bridge=town.networks[host.network].bridge if with_guests else None,
            double=host.kind == "node",
            fed=any(name in (ups.host, *ups.clients) for ups in town.ups.values()),
        )
        specs[name] = spec_of(name, host.address, loan, login=host.kind != "vault")
    return specs


def spec_of(name: str, address: IPv4Address, loan: Loan, *, login: bool = True) -> HostSpec:
    """Return a host with what the lab lends it."""
    # In a network namespace of its own: roles load kernel rules there.
    options = ["--cap-add", "NET_ADMIN"]
    with_repository = loan.image != "old"
    if loan.bridge:
        options += _GUEST_HOST
    elif loan.fed:
        options += _NAMESPACES
    if loan.image == "node" and _FUSE.exists():
        options += ["--device", str(_FUSE)]  # it mounts the files of stopped guests
    if with_repository:
        options += _mount(repository(), REPOSITORY_MOUNT, "ro")
    if loan.double:
        options += _mount(SOURCE / "pve", DOUBLE_MOUNT, "ro")
    if loan.world:
        options += _mount(SOURCE / "ups", UPS_DRIVER_MOUNT, "ro")
        options += _mount(loan.world, WORLD_MOUNT, "rw")
    if loan.disk:
        options += ["--cap-add", "LINUX_IMMUTABLE"]
        options += _mount(*loan.disk, "rw")
    return HostSpec(
        name,
        IMAGES[loan.image].reference,
        address,
        tuple(options),
        loan.bridge,
        login=login,
        repository=with_repository,
        units=tuple(sorted((SOURCE / "pve").glob("*.service"))) if loan.double else (),
    )


def _mount(source: Path, target: str, mode: str) -> list[str]:
    # Folders only, never single files: a file that an editor replaces would stay the old one.
    source.mkdir(parents=True, exist_ok=True)
    return ["--volume", f"{source}:{target}:{mode}"]


def write_files(tree: Path, spec: HostSpec, keys: Path, login_key: str, names: str) -> None:
    """Put into a stopped host's tree what makes it this host.

    `keys` holds its ssh host keys; `names` is its /etc/hosts.
    """
    for key in keys.glob("ssh_host_*"):
        place(tree / "etc/ssh" / key.name, key.read_text(), 0o600 if key.suffix == "" else 0o644)
    place(tree / "etc/hosts", names, 0o644)
    # Nobody to ask: a name that is not in /etc/hosts fails at once.
    place(tree / "etc/resolv.conf", "", 0o644)
    if spec.login:
        (tree / "root/.ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
        place(tree / "root/.ssh/authorized_keys", login_key, 0o600)
    if any(WORLD_MOUNT in option for option in spec.options):
        driver = tree / "usr/lib/nut/labups"
        driver.parent.mkdir(parents=True, exist_ok=True)
        driver.symlink_to(f"{UPS_DRIVER_MOUNT}/labups")
        for mount in (UPS_DRIVER_MOUNT, WORLD_MOUNT):
            keep_mounted(tree, mount)
    if any("SYS_ADMIN" in option for option in spec.options):
        number_boots(tree)
    for unit in spec.units:
        _enable(tree, unit)
    packages = tree / PYTHON
    if packages.is_dir():
        place(packages / COMPILED.name, COMPILED.read_text(), 0o644)
        place(packages / f"{COMPILED.stem}.pth", f"import {COMPILED.stem}\n", 0o644)


def number_boots(tree: Path) -> None:
    """Let each start of the host have a number of its own, as a kernel gives it."""
    folder = tree / "etc/systemd/system"
    place(folder / "boot-number.service", _BOOT_UNIT, 0o644)
    wants = folder / "sysinit.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "boot-number.service").symlink_to("../boot-number.service")
    keep_mounted(tree, BOOT_ID)


def keep_mounted(tree: Path, mount: str) -> None:
    """Keep what is lent to a host until its last hook has run."""
    name = mount.strip("/").replace("-", r"\x2d").replace("/", "-") + ".mount.d"
    place(tree / "etc/systemd/system" / name / "stay.conf", _STAY_MOUNTED, 0o644)


def place(file: Path, text: str, mode: int) -> None:
    """Write one file of a host's tree with its mode, never wider in between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        stream.write(text)
    file.chmod(mode)


def _enable(tree: Path, unit: Path) -> None:
    """Link a unit of the PVE double and enable it as its [Install] section says."""
    folder = tree / "etc/systemd/system"
    reader = configparser.ConfigParser(strict=False, interpolation=None)
    reader.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    reader.read(unit)
    (folder / unit.name).symlink_to(f"{DOUBLE_MOUNT}/{unit.name}")
    for wanted in reader.get("Install", "WantedBy", fallback="").split():
        wants = folder / f"{wanted}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit.name).symlink_to(f"{DOUBLE_MOUNT}/{unit.name}")


def address_book(town: Town) -> str:
    """Return /etc/hosts of every host: the town's names and nothing else."""
    lines = ["127.0.0.1 localhost"]
    lines += [
        f"{host.address} {name}.{town.town.domain} {name}" for name, host in town.hosts.items()
    ]
    return "\n".join(lines) + "\n"


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a disk image without filling its holes; sizes are in the hundreds of MiB."""
    target.parent.mkdir(parents=True, exist_ok=True)
    block = 1024 * 1024
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(block):
            if chunk.strip(b"\0"):
                writer.seek(reader.tell() - len(chunk))
                writer.write(chunk)
        writer.truncate(reader.tell())
    shutil.copymode(source, target)
