"""Hosts of a world as its power side sees them: processes in namespaces of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.worlds.role import File
from tests.worlds.site import Host, Site, files_of, write_disk

from releve.lab import network
from releve.lab.ups.machines import Containers, State

if TYPE_CHECKING:
    from tests.worlds.switch import Switch

    from releve.lab.ups.world import Journal

INSIDE = Path(__file__).parent / "inside"
BIOS_SECONDS = 1.5
# What the image lacks or must not have: here a shutdown tells the host's first process.
LINKS = {
    "usr/lib/nut/labups": "/usr/lib/releve-ups/labups",
    "usr/sbin/shutdown": "/usr/lib/releve-world/shutdown",
    "usr/sbin/reboot": "/usr/lib/releve-world/shutdown",
    "usr/bin/systemctl": "/usr/bin/true",
}


@dataclass(slots=True)
class Hosts:
    """All hosts of one world; `folder` holds their disks and what they say."""

    site: Site
    folder: Path
    root: Path
    switch: Switch
    journal: Journal
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    view: Containers = field(init=False)

    def __post_init__(self) -> None:
        """Look at them as at the lab's containers."""
        self.view = Containers(self.pid_of, self.kill, self.start_later)

    def prepare(self) -> None:
        """Write the disks; raises RefusedError as the roles do."""
        for host in self.site.hosts:
            self.write(host, files_of(self.site, host))

    def write(self, host: Host, files: list[File]) -> None:
        """Make a host's disk with these files."""
        disk, shared = self.folder / "disks" / host.name, self.shared(host.name)
        for folder in ("upper", "work", "tree"):
            (disk / folder).mkdir(parents=True)
        shared.mkdir(parents=True)
        shared.chmod(0o777)
        guests = [asdict(guest) for guest in host.guests]
        content = {
            "name": host.name,
            "guests": guests,
            "stop_seconds": host.stop_seconds * 0.8,
            "monitor_delay": host.monitor_delay,
            "hangs": host.hangs,
        }
        about = File("/etc/releve-world.json", json.dumps(content).encode(), 0o644, "root", "root")
        write_disk(disk / "upper", self.root, [*files, about])
        for name, target in LINKS.items():
            link = disk / "upper" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        for name in ("releve-world", "releve-ups"):
            (disk / "upper/usr/lib" / name).mkdir()

    def shared(self, host: str) -> Path:
        """Return the folder in which a host tells what happens."""
        return self.folder / "hosts" / host

    def start(self, host: str) -> None:
        """Start a host's first process now."""
        words = [str(self.root), str(self.folder / "disks" / host), str(self.shared(host))]
        if host == self.site.primary:
            words.append(str(self.folder / "ups"))
        with (self.shared(host) / "console.log").open("ab") as console:
            self.processes[host] = subprocess.Popen(
                [
                    # Whoever kills this run, even by KILL, takes the hosts with it.
                    *("setpriv", "--pdeathsig", "KILL", "--"),
                    *("nsenter", f"--net={network.NETNS / self.switch.namespace(host)}", "--"),
                    *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
                    *(str(INSIDE / "boot"), *words),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )

    def start_later(self, host: str) -> None:
        """Start a host when its firmware is through."""
        self.starts.setdefault(host, time.monotonic() + BIOS_SECONDS)

    def tick(self, *, output: bool) -> None:
        """Start whose firmware is through; see who asked for a reboot."""
        if not output:
            self.starts.clear()
        now = time.monotonic()
        for host in [name for name, at in self.starts.items() if now >= at]:
            del self.starts[host]
            if self.view.state(host) is State.HALTED:
                self.start(host)
        for host in self.site.addresses:
            asked = self.shared(host) / "reboot"
            if asked.exists() and self.view.state(host) is State.HALTED:
                asked.unlink()
                if output:
                    self.journal.note(host, "power-on", "reboots")
                    self.start_later(host)

    def pid_of(self, host: str) -> int | None:
        """Return the number of a host's first process as this machine counts it."""
        process = self.processes.get(host)
        if process is None or process.poll() is not None:
            return None
        with contextlib.suppress(OSError):
            # `unshare` stays as the parent of the host's first process.
            text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            return int(text.split()[0]) if text.split() else None
        return None

    def kill(self, host: str) -> None:
        """Take its power: whatever runs in it is gone at once."""
        process = self.processes.get(host)
        if process is not None and process.poll() is None:
            process.kill()  # --kill-child: the first process goes with it, and so all others
            process.wait(timeout=10)

    def inside(self, host: str, *argv: str) -> str:
        """Run a program on a host; return what it says, nothing when the host does not run."""
        pid = self.pid_of(host)
        if pid is None:
            return ""
        words = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-p", "-n", "-r", "-w", "--", *argv]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=30, check=False, errors="replace"
        )
        return (done.stdout + done.stderr).strip()

    def end(self) -> None:
        """Kill all of them."""
        for host in self.processes:
            self.kill(host)
