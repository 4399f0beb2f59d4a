"""The guests of this Proxmox VE host as its own files have them, now.

Formats: qemu-server's and pve-container's guest files, `pve_parse_startup_order` of pve-common,
datacenter.cfg, HA's resources.cfg. Standard library only; nothing is written, no daemon is asked.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from releve.power.stops import Guest, workers_of
from releve.power.tasks import read

PVE = Path("/etc/pve")
RUN = Path("/run")
CGROUP = Path("/sys/fs/cgroup")
FOLDERS = {"qemu": "qemu-server", "lxc": "lxc"}
CONFIG_LOCKS = {
    "qemu": "/run/lock/qemu-server/lock-{}.conf",
    "lxc": "/run/lock/lxc/pve-config-{}.lock",
}
KEY = re.compile(r"(?P<key>[a-z][a-z0-9_-]*):\s*(?P<value>.*?)\s*")
STARTUP = re.compile(r"(?:(?P<key>order|up|down)=)?(?P<value>\d+)")
# Locks of a guest that is being made or taken over: Proxmox VE starts it by no means (`check_lock`
# of qemu-server's `vm_start`), and its file may lack whatever comes last, such as its `startup`.
IN_THE_MAKING = {"clone", "create", "migrate"}


@dataclass(frozen=True, slots=True)
class Live:
    """A guest with what bears on its stop; `lock` is the word in its file, None: not locked.

    `up`: it runs. One that does not may be started at any moment, and counts as if it ran.
    """

    guest: Guest
    vmid: int
    lock: str | None = None
    ha: bool = False
    hookscript: str | None = None
    agent: bool = False
    up: bool = True

    @property
    def in_the_making(self) -> bool:
        """Whether it is no guest yet: it does not run, and cannot be started."""
        return not self.up and self.lock in IN_THE_MAKING


@dataclass(frozen=True, slots=True)
class Node:
    """A host's guests (templates left out, as `stopall` does) and how many stop at once.

    `told`: Proxmox VE tells which there are; a host without it says nothing of guests.
    """

    guests: tuple[Live, ...]
    workers: int
    told: bool = True


def startup_of(text: str) -> dict[str, int]:
    """Return order, up and down of a `startup` line; nothing when PVE would not take it."""
    found: dict[str, int] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        match = STARTUP.fullmatch(part)
        if match is None:
            return {}
        found[match["key"] or "order"] = int(match["value"])
    return found


def live_of(text: str, kind: str, vmid: int) -> Live | None:
    """Return the guest of one file, None for a template; snapshots' sections are left out."""
    keys: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            break
        if match := KEY.fullmatch(line):
            keys.setdefault(match["key"], match["value"])
    if keys.get("template") == "1":
        return None
    startup = startup_of(keys.get("startup", ""))
    name = keys.get("name" if kind == "qemu" else "hostname", str(vmid))
    guest = Guest(name, startup.get("order"), startup.get("down"), vmid, kind)
    return Live(
        guest,
        vmid,
        lock=keys.get("lock"),
        hookscript=keys.get("hookscript"),
        agent=re.match(r"(?:enabled=)?1\b", keys.get("agent", "")) is not None,
    )


def node_of(pve: Path = PVE, cpus: int | None = None, *, run: Path = RUN) -> Node:
    """Return what the files say; `cpus` None: this machine's."""
    managed = set(re.findall(r"^(?:vm|ct):\s*(\d+)", read(pve / "ha" / "resources.cfg"), re.M))
    found: list[Live] = []
    for kind, folder in FOLDERS.items():
        for file in sorted((pve / folder).glob("*.conf")):
            if not file.stem.isdigit():
                continue
            live = live_of(read(file), kind, int(file.stem))
            if live is not None:
                found.append(replace(live, ha=file.stem in managed, up=is_up(live, run)))
    workers = re.search(r"^max_workers:\s*(\d+)", read(pve / "datacenter.cfg"), re.M)
    found.sort(key=lambda live: live.vmid)
    limit = int(workers[1]) if workers else None
    return Node(tuple(found), workers_of(cpus or os.cpu_count() or 1, limit), told=pve.is_dir())


def is_up(live: Live, run: Path = RUN, cgroup: Path = CGROUP, proc: Path = Path("/proc")) -> bool:
    """Tell whether the guest runs: by QEMU's process number, or by the container's group."""
    if live.guest.kind == "lxc":
        return read(cgroup / "lxc" / str(live.vmid) / "cgroup.events").startswith("populated 1")
    pid = read(run / "qemu-server" / f"{live.vmid}.pid").strip()
    return pid.isdigit() and (proc / pid).exists()


def lock_file(live: Live) -> Path:
    """Return the file that PVE locks while it works on the guest's configuration."""
    return Path(CONFIG_LOCKS[live.guest.kind].format(live.vmid))


def holder_of(file: Path, locks: str) -> int | None:
    """Return who holds a file's lock, by the text of /proc/locks; None when nobody does.

    0 stands for a holder whose number is not told (another namespace).
    """
    try:
        status = file.stat()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks.splitlines():
        words = line.split()
        # 1: FLOCK ADVISORY WRITE 4711 00:1a:1234 0 EOF; those that wait have an arrow.
        if "->" not in words and words[1:2] == ["FLOCK"] and place in words:
            return max(0, int(words[words.index(place) - 1]))
    return None
