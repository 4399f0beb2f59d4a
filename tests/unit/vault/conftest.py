"""A small btrfs of our own, in a mount namespace that ends with the tests."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from vault_rig import Vault, make_vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLONE_NEWNS = 0x20000


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the root of an empty btrfs that nobody else can see."""
    if os.geteuid() or not shutil.which("mkfs.btrfs"):
        pytest.skip("needs root and mkfs.btrfs")
    image = tmp_path_factory.mktemp("btrfs") / "disk"
    with image.open("wb") as stream:
        stream.truncate(256 << 20)
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, capture_output=True)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount = image.with_name("mount")
    mount.mkdir()
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.fixture
def vault(btrfs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Vault:
    """Return a fresh vault on btrfs."""
    return make_vault(btrfs / f"{request.node.name}", tmp_path / "state")
