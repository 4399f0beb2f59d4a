"""Start and stop guests: what `qm start`, `qm shutdown` and `qm stop` do."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import guestfile, qmp
from .cmdline import Qemu, command, tap
from .command import run
from .refusal import fault
from .volumes import Storages

if TYPE_CHECKING:
    from .guestfile import Config
    from .place import Place

PAUSE = 0.1
QUIT_SECONDS = 10


@functools.cache
def this_qemu() -> Qemu:
    """Return this host's QEMU; KVM counts only where the processor has it in hardware."""
    said = run(["/usr/bin/qemu-system-x86_64", "--version"])
    version = re.search(r"version (\d+)\.(\d+)", said)
    if version is None:
        raise fault(f"cannot read QEMU's version in: {said[:80]}")
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    hardware = re.search(r"\b(vmx|svm)\b", flags) is not None
    usable = hardware and os.access("/dev/kvm", os.R_OK | os.W_OK)
    return Qemu((int(version[1]), int(version[2])), usable)


class Machines:
    """The guests of one host, as running QEMU processes."""

    def __init__(self, place: Place) -> None:
        """Keep where the guests are described."""
        self.place = place
        self.storages = Storages(place)

    def pid(self, vmid: int) -> int | None:
        """Return the process of a running guest; a stale file counts for nothing."""
        try:
            pid = int((self.place.run / f"{vmid}.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.place.run / f"{vmid}.pid").encode() in words else None

    def qmp(self, vmid: int) -> Path:
        """Return a guest's control socket."""
        return self.place.run / f"{vmid}.qmp"

    def state(self, vmid: int) -> str:
        """Return what QEMU says of a guest (running, paused, shutdown), or stopped."""
        if self.pid(vmid) is None:
            return "stopped"
        answer = qmp.ask(self.qmp(vmid), {"execute": "query-status"}, vmid=vmid)
        return str(answer[0]["return"]["status"])

    def start(self, vmid: int) -> None:
        """Start a guest; it runs when this returns."""
        with self.place.locked(f"{vmid}.conf"):
            config = guestfile.read(self.place, vmid)
            if config.get("lock"):
                raise fault(f"VM is locked ({config['lock']})")
            if self.pid(vmid) is not None:
                raise fault(f"VM {vmid} already running")
            self._check_bridges(config)
            words = command(self.place, self.storages, vmid, config, this_qemu())
            run([*self._scope(vmid), *words], seconds=60)
            self._join_bridges(vmid, config)
            down = [
                {"execute": "set_link", "arguments": {"name": slot, "up": False}}
                for slot, nic in guestfile.nics(config).items()
                if nic.get("link_down") == "1"
            ]
            qmp.ask(self.qmp(vmid), *down, {"execute": "cont"}, vmid=vmid)

    def stop(self, vmid: int) -> None:
        """Cut a guest's power; a stopped guest is no fault."""
        with self.place.locked(f"{vmid}.conf"):
            guestfile.read(self.place, vmid)
            self._end(vmid)

    def shutdown(self, vmid: int, seconds: int, *, force: bool) -> None:
        """Press a guest's power button and wait; with `force` its power is cut at the end."""
        config = guestfile.read(self.place, vmid)
        if config.get("lock"):
            raise fault(f"VM is locked ({config['lock']})")
        if self.pid(vmid) is None:
            return
        qmp.ask(self.qmp(vmid), {"execute": "system_powerdown"}, vmid=vmid)
        if self._gone(vmid, seconds):
            return
        if not force:
            message = "VM quit/powerdown failed - got timeout"
            raise fault(message)
        self._end(vmid)

    def set_link(self, vmid: int, slot: str, *, up: bool) -> None:
        """Plug or unplug the cable of a running guest's network card."""
        arguments = {"name": slot, "up": up}
        qmp.ask(self.qmp(vmid), {"execute": "set_link", "arguments": arguments}, vmid=vmid)

    def _end(self, vmid: int) -> None:
        pid = self.pid(vmid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if pid is None:
                return
            os.kill(pid, number)
            if self._gone(vmid, QUIT_SECONDS):
                return
        raise fault(f"VM {vmid} still running, QEMU does not end")

    def _gone(self, vmid: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.pid(vmid) is not None:
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
        return True

    def _check_bridges(self, config: Config) -> None:
        for nic in guestfile.nics(config).values():
            bridge = nic.get("bridge")
            if bridge and not Path(f"/sys/class/net/{bridge}").exists():
                raise fault(f"bridge '{bridge}' does not exist")

    def _join_bridges(self, vmid: int, config: Config) -> None:
        for slot, nic in guestfile.nics(config).items():
            if "bridge" in nic:
                run(["ip", "link", "set", tap(vmid, slot), "master", nic["bridge"], "up"])

    def _scope(self, vmid: int) -> list[str]:
        """Return the words that put a guest into a scope of its own, as PVE does.

        Without it a restart of the double would end its guests. At the host's halt nothing may
        signal QEMU before pve-guests has stopped the guests, hence no default dependencies.
        """
        if self.place.root != Path("/") or shutil.which("systemd-run") is None:
            return []
        words = ["systemd-run", "--scope", "--quiet", "--collect", "--slice=qemu.slice"]
        words += [f"--unit={vmid}", f"--description=Guest {vmid}"]
        return [*words, "-p", "DefaultDependencies=no", "-p", "KillMode=none", "--"]
