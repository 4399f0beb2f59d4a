"""What the machine lacks is said in one sentence with its remedy, before anything is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root on the workstation"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="scripts/test installs podman"),
]
ROOT = Path(__file__).parents[3]
CHECK = f"""
import os, pathlib, sys
from releve.errors import ReleveError
from releve.lab import machine
from releve.lab.topology import Lab
lab = Lab.of(pathlib.Path({str(ROOT)!r}))
# Only now: root's home may hold the checkout, and nobody else can read it there.
os.setresuid(*[int(sys.argv[1])] * 3)
try:
    machine.check(lab)
except ReleveError as error:
    print(f"{{error.exit_code}} {{error}}")
"""


def verdict(*before: str, path: Path | None = None, user: int = 0, **environment: str) -> str:
    """Check the machine as `user`, in a process of its own.

    `path`: programs that stand before the real ones.
    Returns exit code and sentence of the refusal, or nothing.
    """
    env = {**os.environ, **environment}
    if path:
        env["PATH"] = f"{path}:{env['PATH']}"
    done = subprocess.run(
        [*before, sys.executable, "-c", CHECK, str(user)],
        env=env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def broken(folder: Path, program: str, says: str) -> Path:
    """Put a program into `folder` that only fails; return the folder."""
    file = folder / program
    file.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    file.chmod(0o755)
    return folder


def test_podman_that_refuses(tmp_path: Path) -> None:
    said = verdict(path=broken(tmp_path, "podman", "cannot set up namespace"))
    assert said.startswith("5 podman refuses to work here")
    assert "cannot set up namespace" in said
    assert "podman --runtime runc info" in said


def test_no_loop_device(tmp_path: Path) -> None:
    said = verdict(path=broken(tmp_path, "losetup", "cannot find an unused loop device"))
    assert said.startswith("5 no loop device for the vault's disk")
    assert "modprobe loop" in said


def test_no_namespaces(tmp_path: Path) -> None:
    said = verdict(path=broken(tmp_path, "unshare", "Operation not permitted"))
    assert said.startswith("5 this machine lets root make no namespaces")


def test_no_room(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=64m small "{tmp_path}" && exec "$@"'
    said = verdict(
        *("unshare", "--mount", "sh", "-c", mount, "sh"), RELEVE_CACHE=str(tmp_path / "cache")
    )
    assert said.startswith(f"5 {tmp_path}/cache: 0.1 GiB free, the lab wants")
    assert "RELEVE_CACHE" in said


def test_the_labs_network_is_taken() -> None:
    taken = 'ip link set lo up && ip addr add 198.51.100.77/25 dev lo && exec "$@"'
    said = verdict("unshare", "--net", "sh", "-c", taken, "sh")
    assert said.startswith("5 198.51.100.0/24: this machine has a route to 198.51.100.")


def test_not_root() -> None:
    said = verdict(user=65_534)
    assert said.startswith("5 the lab's containers and namespaces need root")


def test_neither_root_nor_sudo(tmp_path: Path) -> None:
    for program in ("basename", "dirname"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    somebody = tmp_path / "id"
    somebody.write_text("#!/bin/sh\necho 1000\n")
    somebody.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "lab"), "up"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "install sudo" in done.stderr
