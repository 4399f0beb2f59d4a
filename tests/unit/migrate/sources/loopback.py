"""A real sshd on loopback with a home of its own: the old host and the node of a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

# Its port 22 is nobody's, and tests of another checkout take another address.
ADDRESS = "127.64.{}.{}".format(*divmod(os.getpid() % 64_000 + 1, 250))
NEEDED = ("sshd", "ssh", "ssh-keygen")
SECONDS = 20


def missing(*tools: str) -> str:
    """Return the first program that this machine lacks, "" for none."""
    return next((tool for tool in (*NEEDED, *tools) if not _program(tool)), "")


def _program(name: str) -> str | None:
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")


@contextmanager
def hosts(folder: Path) -> Iterator[tuple[Ssh, Ssh, Path]]:
    """Give an old host, a node (both this machine) and the known_hosts that names the old one."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name],
                       check=True)  # fmt: skip
    shutil.copy(folder / "id.pub", home / ".ssh" / "authorized_keys")
    known = folder / "known_hosts"
    known.write_text(f"{ADDRESS} {(folder / 'host.pub').read_text()}")
    path = f"{home}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress {ADDRESS}\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
        f"UsePAM no\nAuthorizedKeysFile {home}/.ssh/authorized_keys\n"
        f"SetEnv HOME={home} PATH={path}\n"
        "PermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    program = _program("sshd") or ""
    server = subprocess.Popen([program, "-D", "-f", config], stderr=subprocess.DEVNULL)
    options = (
        "-F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
        f" -o UserKnownHostsFile={known} -i {folder}/id -o ControlMaster=auto"
        f" -o ControlPersist=60 -o ControlPath={folder}/%C"
    ).split()
    old = Ssh("old", ADDRESS, "root", tuple(options))
    # the node's own address is what it is seen to come from
    node = Ssh("pve1", "127.0.0.1", "root", (*options, "-o", f"HostName={ADDRESS}"))
    try:
        _await_port()
        yield old, node, known
    finally:
        for host in (old, node):
            subprocess.run([*host.argv()[:-1], "-O", "exit", host.argv()[-1]], check=False,
                           stderr=subprocess.DEVNULL)  # fmt: skip
        server.terminate()
        server.wait()


def _await_port() -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection((ADDRESS, 22), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
