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
KEY = re.compile(r"(?P<key>[a-z][a-z_-]*\d*):\s*(?P<value>.+?)\s*", re.ASCII)
# What begins another part of the file: a snapshot, what waits for a restart.
SECTION = {
    "qemu": re.compile(r"\[[^\]]*\]\s*"),
    "lxc": re.compile(r"\[(?:pve:pending|[a-z][a-z0-9_-]+)\]\s*", re.IGNORECASE),
}
STARTUP = re.compile(r"(?:(?P<key>order|up|down)=)?(?P<value>\d+)", re.ASCII)
DIGITS = 18  # of a number that are read: more are as endless
TRUTHS = {"onboot", "template"}
TRUE = {"1", "on", "yes", "true"}
FALSE = {"0", "off", "no", "false"}
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
    for part in text.split(",") if text != "0" else ():
        if not part.strip():
            continue
        match = STARTUP.fullmatch(part)
        if match is None:
            return {}
        found[match["key"] or "order"] = int(match["value"][:DIGITS])
    return found


def keys_of(text: str, kind: str) -> dict[str, str]:
    """Return what a guest's file says of the guest as it is now, of two lines the last one.

    A machine's line that cannot be read leaves the one before it; a container's does not
    (`parse_vm_config` of qemu-server, `parse_pct_config` of pve-container).
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if SECTION[kind].fullmatch(line):
            break
        match = KEY.fullmatch(line)
        if match and (kind == "lxc" or _is_read(match["key"], match["value"])):
            value = match["value"]
            found[match["key"]] = value if kind == "lxc" else re.sub('^"(.*)"$', r"\1", value)
    return found


def _is_read(key: str, value: str) -> bool:
    if key == "startup":
        return not value.strip(" \t,") or bool(startup_of(value))
    return key not in TRUTHS or value.lower() in TRUE | FALSE


def is_true(value: str) -> bool:
    """Tell whether a value is one of Proxmox VE's words for true."""
    return value.lower() in TRUE


def live_of(text: str, kind: str, vmid: int) -> Live | None:
    """Return the guest of one file, None for a template; snapshots' sections are left out."""
    keys = keys_of(text, kind)
    if is_true(keys.get("template", "")):
        return None
    startup = startup_of(keys.get("startup", ""))
    name = keys.get("name" if kind == "qemu" else "hostname", str(vmid))
    guest = Guest(name, startup.get("order"), startup.get("down"), vmid, kind)
    return Live(
        guest,
        vmid,
        lock=keys.get("lock"),
        hookscript=keys.get("hookscript"),
        agent=any(
            is_true(one.removeprefix("enabled=")) for one in keys.get("agent", "").split(",")
        ),
    )


def managed_of(text: str) -> set[str]:
    """Return the numbers of the guests that HA's resources.cfg manages, not in name only."""
    found: set[str] = set()
    number = ""
    for line in text.splitlines():
        if head := re.fullmatch(r"(\w+):\s*(\S+)\s*", line):
            number = head[2] if head[1] in ("vm", "ct") else ""
            found.add(number)
        elif re.fullmatch(r"\s+state\s+ignored\s*", line):
            found.discard(number)
    return found


def node_of(pve: Path = PVE, cpus: int | None = None, *, run: Path = RUN) -> Node:
    """Return what the files say; `cpus` None: this machine's."""
    managed = managed_of(read(pve / "ha" / "resources.cfg"))
    found: list[Live] = []
    for kind, folder in FOLDERS.items():
        for file in sorted((pve / folder).glob("*.conf")):
            if not file.stem.isdigit():
                continue
            live = live_of(read(file), kind, int(file.stem))
            if live is not None:
                found.append(replace(live, ha=file.stem in managed, up=is_up(live, run)))
    found.sort(key=lambda live: live.vmid)
    said = re.findall(r"^\s*max_workers:\s*(.*?)\s*$", read(pve / "datacenter.cfg"), re.MULTILINE)
    limit = int(said[-1]) if said and re.fullmatch(r"\d+", said[-1], re.ASCII) else None
    # Without pmxcfs its mount point is an empty folder, which says nothing.
    told = any((pve / folder).is_dir() for folder in FOLDERS.values())
    return Node(tuple(found), workers_of(cpus or os.cpu_count() or 1, limit), told)


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
