"""The shadow's room: nothing that runs in it can reach, change or leave anything outside.

Called by the first process of new mount, pid, network and IPC namespaces. The whole file tree
becomes read-only; /run, /tmp and /dev are new and empty, so no systemd, no D-Bus, no journal, no
UPS and no terminal is there; the network is a loopback that has the host's own addresses. When
the first process ends, the kernel ends all others with it, and the mounts are gone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Iterable

MS_BIND, MS_REC = 0x1000, 0x4000
SYS_MOUNT_SETATTR = 442  # the same number on every architecture; Linux 5.12, mount_setattr(2)
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
TOOL_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of /run/nut as the host has it, to be made anew."""

    path: str
    mode: int
    owner: int
    group: int


def folders_below(root: Path) -> tuple[Folder, ...]:
    """Return a folder and those below it; none when it is not there."""
    if not root.is_dir():
        return ()
    found = [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]
    return tuple(
        Folder(str(path), stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid)
        for path, seen in ((path, path.stat()) for path in found)
    )


def enter(addresses: Iterable[str], names: dict[str, str], folders: Iterable[Folder]) -> None:
    """Make the room around this process; raises CheckError where the kernel does not allow it.

    `addresses` are put on the loopback; `names` (name -> address) are known without any resolver.
    """
    if os.getpid() != 1:
        message = "the shadow's room is for the first process of new namespaces only"
        raise CheckError(message)
    hosts = Path("/etc/hosts").read_text(encoding="utf-8", errors="replace")
    _read_only()
    _mount("tmpfs", "/run", "tmpfs", 0, "mode=755,size=16m")
    _mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777,size=16m")  # noqa: S108  # where it is mounted
    _new_dev()
    for folder in folders:
        path = Path(folder.path)
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, folder.owner, folder.group)
        path.chmod(folder.mode)
    known = Path("/run/hosts")
    lines = [f"{address} {name}" for name, address in names.items()]
    known.write_text("\n".join([*lines, hosts]), encoding="utf-8")
    _mount(str(known), "/etc/hosts", None, MS_BIND)
    _loopback(addresses)


def bind(source: Path, target: str) -> None:
    """Let a file or folder of the room stand where another one is."""
    _mount(str(source), target, None, MS_BIND)


def alike(copy: Path, real: Path) -> None:
    """Give a file or folder of the room the owner and the mode of the host's."""
    seen = real.stat()
    os.chown(copy, seen.st_uid, seen.st_gid)
    copy.chmod(stat.S_IMODE(seen.st_mode))


def _read_only() -> None:
    """Make every mount read-only, the new /proc included: no trigger of the kernel's opens."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, ctypes.byref(attributes), size
    )
    if done != 0:
        message = f"the file tree cannot be made read-only ({os.strerror(ctypes.get_errno())})"
        raise CheckError(message)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    if done != 0:
        message = f"{target} cannot be mounted over ({os.strerror(ctypes.get_errno())})"
        raise CheckError(message)


def _new_dev() -> None:
    """Make a /dev without a UPS, a disk, a terminal, and without the journal's socket."""
    new = Path("/run/dev")
    new.mkdir()
    _mount("tmpfs", str(new), "tmpfs", 0, "mode=755,size=1m")
    for name in DEVICES:
        (new / name).touch()
        _mount(f"/dev/{name}", str(new / name), None, MS_BIND)
    for name, target in LINKS.items():
        (new / name).symlink_to(target)
    (new / "shm").mkdir(mode=0o1777)
    _mount(str(new), "/dev", None, MS_BIND | MS_REC)


def _loopback(addresses: Iterable[str]) -> None:
    ip = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if ip is None:
        message = "there is no program ip on this host: install iproute2"
        raise CheckError(message)
    lines = [[ip, "link", "set", "lo", "up"]]
    for address in addresses:
        wide = f"{address}/128" if ":" in address else f"{address}/32"
        lines.append([ip, "address", "add", wide, "dev", "lo"])
    for line in lines:
        done = subprocess.run(line, capture_output=True, text=True, check=False,
                              timeout=TOOL_SECONDS)  # fmt: skip
        if done.returncode != 0:
            message = f"{' '.join(line[1:])}: {done.stderr.strip()}"
            raise CheckError(message)
