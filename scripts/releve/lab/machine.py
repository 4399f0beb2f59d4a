"""What the lab wants of the machine; each lack is one sentence with its remedy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from releve.command import CommandError, run
from releve.errors import RefusedError
from releve.lab import images, network
from releve.lab.cache import cache_folder
from releve.lab.podman import podman

if TYPE_CHECKING:
    from releve.lab.topology import Lab

GIB = 1024**3
# Measured: 2.9 GiB of images in the cache and podman, 1 GiB of hosts, disks and copies in a run.
FIRST_RUN_GIB = 6
LATER_RUN_GIB = 2


def check(lab: Lab) -> None:
    """Raise RefusedError for the first thing that this machine lacks; change nothing."""
    need_root()
    _namespaces()
    _podman()
    _loop()
    _disk(lab.root)
    for net in lab.town.networks.values():
        network.refuse_overlap(net.cidr)


def need_root() -> None:
    """Raise RefusedError when this process is not root's."""
    if os.geteuid() != 0:
        message = "the lab's containers and namespaces need root: call scripts/lab, it asks sudo"
        raise RefusedError(message)


def _namespaces() -> None:
    try:
        run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], timeout=20)
    except CommandError as error:
        message = (
            f"this machine lets root make no namespaces ({error}): call scripts/lab on a real or "
            "virtual machine, or in a container with --privileged"
        )
        raise RefusedError(message) from None


def _podman() -> None:
    try:
        podman("info")
    except CommandError as error:
        message = f"podman refuses to work here ({error}): mend `podman --runtime runc info` first"
        raise RefusedError(message) from None


def _loop() -> None:
    found = run(["losetup", "--find"], timeout=20, check=False)
    if found.returncode != 0:
        message = (
            f"no loop device for the vault's disk ({found.stderr.strip()}): free one that "
            "`losetup --list` shows, or load the kernel's module with `modprobe loop`"
        )
        raise RefusedError(message)


def _disk(root: Path) -> None:
    wanted = (FIRST_RUN_GIB if images.missing() else LATER_RUN_GIB) * GIB
    store = Path(podman("info", "--format", "{{.Store.GraphRoot}}").stdout.strip())
    for folder in (root, cache_folder(), store):
        free = free_bytes(folder)
        if free < wanted:
            message = (
                f"{folder}: {free / GIB:.1f} GiB free, the lab wants {wanted // GIB} GiB; make "
                "room there, or name a larger folder for the cache in RELEVE_CACHE"
            )
            raise RefusedError(message)


def free_bytes(folder: Path) -> int:
    """Return the free space where a folder is or will be, in bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
