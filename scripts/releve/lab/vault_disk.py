"""The vault's disk: a btrfs in a file, mounted on this machine and lent to the vault's container.

It is mounted outside because a container may not mount; it survives the container as a real disk
survives its server.
"""

from __future__ import annotations

import json
from pathlib import Path

from releve.command import run

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
    detach(image)


def detach(place: Path) -> None:
    """Free the loop devices that hold a file, or any file below a folder."""
    listed = run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"], timeout=30).stdout
    for device in json.loads(listed)["loopdevices"] if listed.strip() else []:
        # The kernel adds " (deleted)" to the name of a file that is gone.
        held = Path(str(device["back-file"]).removesuffix(" (deleted)"))
        if held.is_relative_to(place):
            run(["losetup", "--detach", device["name"]], timeout=30)
