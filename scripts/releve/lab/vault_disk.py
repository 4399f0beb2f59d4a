"""The vault's disk: a btrfs in a file, mounted on this machine and lent to the vault's container.

It is mounted outside because a container may not mount; it survives the container as a real disk
survives its server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from releve.command import run

if TYPE_CHECKING:
    from pathlib import Path

SIZE = "4G"


def make(image: Path, folder: Path) -> None:
    """Make an empty disk and mount it on `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    run(["truncate", "-s", SIZE, str(image)], timeout=30)
    run(["mkfs.btrfs", "-q", str(image)], timeout=60)
    run(
        ["mount", "-o", "loop,compress=zstd:3,noatime", str(image), str(folder)],
        timeout=60,
    )


def unmount(image: Path, folder: Path) -> None:
    """Unmount the disk, however often it is mounted, and free its loop devices."""
    while folder.is_mount():
        run(["umount", str(folder)], timeout=60)
    for device in loops_of(image):
        run(["losetup", "--detach", device], timeout=30)


def loops_of(image: Path) -> list[str]:
    """Return the loop devices that hold the file."""
    listed = run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"], timeout=30).stdout
    devices = json.loads(listed)["loopdevices"] if listed.strip() else []
    # The kernel adds " (deleted)" to the name of a file that is gone.
    wanted = {str(image), f"{image} (deleted)"}
    return [device["name"] for device in devices if device["back-file"] in wanted]
