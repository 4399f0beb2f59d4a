"""Clear what an earlier run of the same checkout left, however it ended; touch nothing else.

Everything of a lab bears its name (`rl-` and a hash of the checkout's path) or lies in its state
folder, so that debris is found without any note of the run that left it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from releve.command import run
from releve.errors import RefusedError
from releve.lab import network, processes, vault_disk
from releve.lab.podman import containers, remove

VAULT_IMAGE = "vault.btrfs"
VAULT_FOLDER = "vault"
# Kept over a sweep: what a person reads after a failure.
KEPT = {"log"}


def sweep(name: str, state: Path) -> None:
    """Remove processes, containers, namespaces, mounts, loops and files of the lab `name`.

    Raises RefusedError when called from inside the lab's own network.
    """
    prefix = f"{name}-"
    _refuse_from_inside(prefix)
    for mark in processes.noted(state / "processes").values():
        mark.end()
    ours = processes.ancestors()
    for namespace in network.namespaces(prefix):
        processes.end_all([pid for pid in _members(namespace) if pid not in ours])
    for container in containers(prefix):
        remove(container)
    for namespace in network.namespaces(prefix):
        network.delete(namespace)
    _unmount_below(state)
    vault_disk.detach(state)
    for entry in state.iterdir() if state.is_dir() else ():
        if entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _refuse_from_inside(prefix: str) -> None:
    for namespace in network.namespaces(prefix):
        if network.is_mounted(namespace) and network.is_ours(namespace):
            message = "this shell is inside the lab's network: leave it (exit), then call again"
            raise RefusedError(message)


def _members(namespace: str) -> list[int]:
    return network.processes(namespace) if network.is_mounted(namespace) else []


def _unmount_below(folder: Path) -> None:
    """Unmount whatever is mounted below a folder, the deepest first."""
    mounts = [
        # The kernel writes a blank in a path as \040.
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(folder):
            run(["umount", mount], timeout=60)
