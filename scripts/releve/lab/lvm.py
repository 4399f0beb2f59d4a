"""LVM in a file, made and looked at by LVM's own programs in a container that sees it alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from releve.command import run
from releve.lab.images import IMAGES
from releve.lab.podman import podman

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# No device-mapper there: nothing is activated, and nobody waits for it.
_ALONE = "--driverloaded n"


def write_group(file: Path, name: str) -> None:
    """Make a file a physical volume of a group `name` that has one logical volume, `root`."""
    with _attached(file) as device:
        _ask(
            device,
            f"pvcreate {_ALONE} --yes --quiet {device}\n"
            f"vgcreate {_ALONE} --quiet {name} {device}\n"
            f"lvcreate {_ALONE} --quiet --activate n --zero n --wipesignatures n"
            f" --name root --extents 50%VG {name}\n",
        )


def groups(file: Path, configuration: str = "") -> list[str]:
    """Return the volume groups that LVM finds in a file with this `lvmlocal.conf`."""
    with _attached(file, "--read-only") as device:
        line = f"cat > /etc/lvm/lvmlocal.conf\nvgs {_ALONE} --noheadings --options vg_name\n"
        return _ask(device, line, configuration).split()


def _ask(device: str, script: str, stdin: str = "") -> str:
    done = podman(
        "run",
        "--rm",
        "--interactive",
        "--pull=never",
        "--network=none",
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
        # podman hides what LVM wants to know of a device, and the calls by which it reads it
        *("--security-opt", "unmask=/sys/dev/block", "--security-opt", "seccomp=unconfined"),
        f"--device={device}",
        IMAGES["node"].reference,
        *("sh", "-ec", script),
        stdin=stdin,
        timeout=60,
    )
    return done.stdout


@contextlib.contextmanager
def _attached(file: Path, *options: str) -> Iterator[str]:
    """Give the loop device of a file."""
    argv = ["losetup", "--find", "--show", *options, str(file)]
    device = run(argv, timeout=30).stdout.strip()
    try:
        yield device
    finally:
        run(["losetup", "--detach", device], timeout=30)
