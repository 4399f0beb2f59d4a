"""Start the guests whose storage came too late: Proxmox VE tries each of them once at boot.

Runs once after pve-guests.service. A guest that is to start at boot, does not run and whose storage
was not there is started within some seconds of its storage, for ten minutes at most and never while
a UPS says that it is on battery; who waits in vain is named in one alarm. A guest whose storage is
there is left alone: somebody may have stopped it. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from releve.errors import ReleveError
from releve.power.gate import CONFIG, Config
from releve.power.guests import FOLDERS, PVE, is_true, keys_of, live_of, node_of
from releve.power.spool import Alarm, raise_alarm
from releve.power.tasks import read
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT = 600.0  # seconds that a guest is waited for
LOOK = 10.0
FRESH = 1800.0  # seconds of uptime; later nothing is left to be made up for
NODES = "/nodes/localhost"
_DISK = re.compile(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate|mp)\d+|rootfs")
_STORED = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*):")
_FOLDER_STORAGE = re.compile(r"^dir: (\S+)\n((?:[ \t]+.*\n?)*)", re.MULTILINE)
LOG = logging.getLogger("guests-late")


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A guest that is to start at boot and does not run; `storages` are those of its disks."""

    vmid: int
    name: str
    kind: str
    order: int
    storages: frozenset[str]


class Host(Protocol):
    """What is looked at and done; the tests have one of their own."""

    def sleepers(self) -> list[Sleeper]:
        """Return who is to start at boot and does not run, as the files have them now."""

    def active(self) -> frozenset[str]:
        """Return the storages that can be used."""

    def on_battery(self) -> bool:
        """Tell whether a UPS says that guests should not start."""

    def start(self, guest: Sleeper) -> str:
        """Start a guest; return what went wrong, nothing when it runs."""

    def alarm(self, text: str) -> None:
        """Tell people."""

    def now(self) -> float:
        """Return seconds that only grow."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def start_late(host: Host, limit: float = LIMIT) -> list[int]:
    """Start who was left for want of a storage, in their order; return whom."""
    begun = host.now()
    active = host.active()
    late = {one.vmid for one in host.sleepers() if one.storages - active}
    started: list[int] = []
    while late and host.now() < begun + limit:
        active = host.active()
        asleep = {one.vmid: one for one in host.sleepers()}
        late &= asleep.keys()  # whom somebody else has started needs nobody
        ready = [asleep[vmid] for vmid in late if not asleep[vmid].storages - active]
        for guest in sorted(ready, key=lambda one: (one.order, one.vmid)):
            if host.on_battery():
                break
            late.discard(guest.vmid)
            fault = host.start(guest)
            if fault:
                host.alarm(f"guest {guest.name} ({guest.vmid}) was not started: {fault}")
            else:
                LOG.info("guest %s (%d) started: its storage is there", guest.name, guest.vmid)
                started.append(guest.vmid)
        if late:
            host.sleep(LOOK)
    missing = host.active() if late else active
    for guest in host.sleepers():
        if guest.vmid in late:
            why = ", ".join(sorted(guest.storages - missing))
            why = f"its storage {why} is not there" if why else "the mains are not there"
            host.alarm(f"guest {guest.name} ({guest.vmid}) was not started after the boot: {why}")
    return started


def sleeper_of(text: str, kind: str, vmid: int) -> Sleeper | None:
    """Return the guest of one file when it is to start at boot, else None."""
    live = live_of(text, kind, vmid)
    keys = keys_of(text, kind)
    if live is None or not is_true(keys.get("onboot", "")):
        return None
    stored = [_STORED.match(value) for key, value in keys.items() if _DISK.fullmatch(key)]
    order = live.guest.order if live.guest.order is not None else sys.maxsize
    storages = frozenset(one[1] for one in stored if one)
    return Sleeper(vmid, live.guest.name, kind, order, storages)


def unmounted(storage_cfg: str, fstab: str, mounts: str) -> frozenset[str]:
    """Return the folder storages whose file system is still to be mounted.

    Proxmox VE calls such a folder usable, and would make a disk anew on the one below.
    """
    wanted = {one for one in _places(fstab) if one.startswith("/")}
    there = _places(mounts)
    found = set()
    for name, body in _FOLDER_STORAGE.findall(storage_cfg):
        paths = [words[1] for line in body.splitlines() if (words := line.split())[:1] == ["path"]]
        if any(f"{path}/".startswith(f"{one}/") for path in paths for one in wanted - there):
            found.add(name)
    return frozenset(found)


def _places(table: str) -> set[str]:
    """Return where a table of mounts mounts; a comment mounts nothing, / is there."""
    rows = (line.split() for line in table.splitlines() if not line.lstrip().startswith("#"))
    return {words[1].rstrip("/") for words in rows if len(words) > 1} - {""}


class ThisHost:
    """The real one: Proxmox VE's files, pvesh, upsd."""

    def sleepers(self) -> list[Sleeper]:
        managed = {live.vmid for live in node_of().guests if live.ha or live.up}
        return [one for one in self._files() if one.vmid not in managed]

    @staticmethod
    def _files() -> Iterator[Sleeper]:
        for kind, folder in FOLDERS.items():
            for file in (PVE / folder).glob("*.conf"):
                one = sleeper_of(read(file), kind, int(file.stem)) if file.stem.isdigit() else None
                if one is not None:
                    yield one

    def active(self) -> frozenset[str]:
        said = _pvesh("get", f"{NODES}/storage", "--output-format", "json")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            usable = {str(one["storage"]) for one in json.loads(said.stdout) if one["active"]}
            empty = unmounted(
                read(PVE / "storage.cfg"), read(Path("/etc/fstab")), read(Path("/proc/mounts"))
            )
            return frozenset(usable) - empty
        return frozenset()

    def on_battery(self) -> bool:
        with contextlib.suppress(ReleveError):
            for guard in Config.read(CONFIG).upses:
                with contextlib.suppress(ReleveError):
                    status = Upsd(guard.server, guard.port).variables(guard.name)
                    if {"OB", "FSD"} & {*status.get("ups.status", "").split()}:
                        return True
        return False

    def start(self, guest: Sleeper) -> str:
        done = _pvesh("create", f"{NODES}/{guest.kind}/{guest.vmid}/status/start")
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["?"])[-1]

    def alarm(self, text: str) -> None:
        LOG.error("%s", text)
        try:
            raise_alarm(Alarm("late-guest", socket.gethostname(), text, "failure"))
        except OSError as error:
            LOG.warning("nobody could be told (%s)", error)

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _pvesh(*words: str) -> subprocess.CompletedProcess[str]:
    argv = ["pvesh", *words]
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False, timeout=120
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))


def is_fresh(uptime: str, limit: float = FRESH) -> bool:
    """Tell by /proc/uptime whether this host has booted just now."""
    seconds = uptime.split()[:1]
    return bool(seconds) and float(seconds[0]) < limit


def main(arguments: Sequence[str]) -> int:
    """Start who is late after a boot; always 0, alarms say what went wrong."""
    parser = argparse.ArgumentParser(prog="power.pyz start-late")
    parser.add_argument("--fresh", type=float, default=FRESH, help="most seconds since the boot")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds to wait for a storage")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if is_fresh(read(Path("/proc/uptime")), chosen.fresh):
        start_late(ThisHost(), chosen.limit)
    return 0
