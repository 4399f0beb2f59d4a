#!/usr/bin/python3
"""The first process of a light host: what systemd does around NUT, and nothing else.

It reads the units and drop-ins that the role wrote, starts the real daemons, restarts them as
their units say, and at a shutdown does what systemd does: everything is told to stop at once, the
guests take their time, NUT's own shutdown hook comes last, when the file systems are down.
Standard library only; what happens goes to /run/releve-host/events.jsonl. With a word it does one
thing for a unit of a full host.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

SHARED = Path("/run/releve-host")
UNITS = Path("/etc/systemd/system")
HOOKS = Path("/usr/lib/systemd/system-shutdown")
NEVER = float("inf")
TICK = 0.1  # seconds
SYSLOG = re.compile(r"^<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?(?:([\w./-]+)(?:\[\d+\])?: )?(.*)", re.S)
# Said at every start, of interest to nobody.
CHATTER = re.compile(
    "upsnotify|Network UPS Tools|listening on|foreground process|PID file|fopen|Init SSL"
    "|down flag file|defined in ups.conf|mainloop"
)
PR_SET_NAME = 15


def note(kind: str, what: str, **more: object) -> None:
    """Append one event; this host is its subject."""
    moment = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds")
    line = {"at": moment.replace("+00:00", "Z"), "subject": NAME, "kind": kind, "what": what}
    with (SHARED / "events.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line | more) + "\n")


def settings_of(*files: Path) -> dict[str, list[str]]:
    """Return the settings of a unit and its drop-ins, whatever their section."""
    found: dict[str, list[str]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith(("#", ";")):
                found.setdefault(key.strip(), []).append(value.strip())
    return found


def drop_ins(unit: str) -> list[Path]:
    """Return the drop-ins that the role wrote for a unit."""
    return sorted((UNITS / f"{unit}.d").glob("*.conf"))


def seconds_of(settings: dict[str, list[str]], key: str, default: float) -> float:
    """Return the last value of a time span in seconds; only plain seconds are known here."""
    return float(settings.get(key, [str(default)])[-1].removesuffix("s"))


@dataclass
class Unit:
    """A service; `start_at` is when it is to be started next."""

    name: str
    argv: list[str]
    start_at: float
    restart_seconds: float = 0.1
    on_failure_only: bool = False
    settings: dict[str, list[str]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def look(self, now: float) -> None:
        """Start it when that is due; see whether it has ended."""
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        over = self.on_failure_only and code == 0
        self.start_at = NEVER if over else now + self.restart_seconds
        note("unit-ended", f"{self.name} ended with {code}", unit=self.name, code=code)

    def start(self) -> None:
        """Start the program as the unit's user, with its folders."""
        user = self.settings.get("User", ["root"])[-1]
        for key, base in (("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")):
            for name in self.settings.get(key, []):
                folder = Path(base, name)
                folder.mkdir(parents=True, exist_ok=True)
                os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=user,
            group=self.settings.get("Group", [user])[-1],
            extra_groups=[],
            cwd="/",
            env=environment(),
        )
        threading.Thread(target=self._hear, args=(self.process,), daemon=True).start()

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        """Note what it prints, as the journal does."""
        for line in process.stdout or ():
            words = line.decode(errors="replace").strip()
            if words and not CHATTER.search(words):
                note("log", f"{self.name}: {words}", program=self.name)

    def stop(self) -> None:
        """Ask it to end, and never start it again."""
        self.start_at = NEVER
        if self.process is not None:
            self.process.terminate()


def environment() -> dict[str, str]:
    """Return what NUT's units take from nut.conf, and a path."""
    values = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8"}
    for line in Path("/etc/nut/nut.conf").read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            values[key.strip()] = value.strip().strip('"')
    return values


def drivers() -> list[tuple[str, str]]:
    """Return name and driver of each section of ups.conf."""
    file = Path("/etc/nut/ups.conf")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.findall(r"^\[([\w-]+)\]\s*$.*?^\s*driver\s*=\s*\"?([\w-]+)", text, re.M | re.S)


def units(now: float) -> list[Unit]:
    """Return the services of this host in the order of their start."""
    mode = environment().get("MODE", "none")
    found = []
    restart = seconds_of(settings_of(*drop_ins("nut-driver@.service")), "RestartSec", 15)
    for name, driver in drivers():
        argv = [f"/usr/lib/nut/{driver}", "-a", name, "-F"]
        found.append(Unit(f"nut-driver@{name}", argv, now, restart))
    if mode in {"netserver", "standalone"}:
        found.append(Unit("nut-server", ["/usr/sbin/upsd", "-F"], now + 0.8, on_failure_only=True))
    if mode != "none":
        begin = now + 1.6 + HOST["monitor_delay"]
        argv = ["/usr/sbin/upsmon", "-F"]
        restart = seconds_of(settings_of(*drop_ins("nut-monitor.service")), "RestartSec", 0.1)
        found.append(Unit("nut-monitor", argv, begin, restart, on_failure_only=True))
    for file in sorted(UNITS.glob("releve-*.service")):
        own = settings_of(file, *drop_ins(file.name))
        if "always" in own.get("Restart", []):
            again = seconds_of(own, "RestartSec", 0.1)
            argv = own["ExecStart"][-1].split()
            found.append(Unit(file.stem, argv, now + 2.0, again, settings=own))
    return found


class Guests:
    """The guests of a Proxmox VE host, as its service starts and stops them."""

    def __init__(self) -> None:
        """Wait for whatever the drop-ins put before the start."""
        self.all = HOST["guests"]
        self.stopping = False
        self.started = not self.all
        if self.all:
            threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        time.sleep(2.0)
        for line in settings_of(*drop_ins("pve-guests.service")).get("ExecStartPre", []):
            gate = subprocess.Popen(line.split(), stdin=subprocess.DEVNULL)
            while gate.poll() is None:
                if self.stopping:
                    gate.kill()
                    return
                time.sleep(TICK)
        if not self.stopping:
            self.started = True
            note("guests-start", "guests start")

    def stop(self) -> None:
        """Stop them as Proxmox VE does: highest order first, by force after `down` seconds."""
        self.stopping = True
        if self.started:
            stop_guests(self.all)


def stop_guests(guests: list[dict[str, float]]) -> None:
    """Stop guests, those of the same order at once."""
    for order in sorted({guest["order"] for guest in guests}, reverse=True):
        group = [guest for guest in guests if guest["order"] == order]
        threads = [threading.Thread(target=_stop_one, args=(one,)) for one in group]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _stop_one(guest: dict[str, float]) -> None:
    name, hung = guest["name"], guest["takes"] > guest["down"]
    note("guest-stopping", f"guest {name} is told to stop", guest=name)
    time.sleep(min(guest["takes"], guest["down"]))
    how = "is stopped by force" if hung else "has stopped"
    note("guest-stopped", f"guest {name} {how}", guest=name, clean=not hung)


def hear_syslog() -> None:
    """Note what programs say to the log; for ever."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    Path("/dev/log").unlink(missing_ok=True)
    log.bind("/dev/log")
    Path("/dev/log").chmod(0o666)

    def listen() -> None:
        while True:
            message = log.recv(4096).decode(errors="replace").rstrip("\n\0")
            found = SYSLOG.match(message)
            if found is not None and not CHATTER.search(message):
                priority, program, words = found.groups()
                note("log", f"{program}: {words}", priority=int(priority) % 8, program=program)

    threading.Thread(target=listen, daemon=True).start()


def prepare() -> None:
    """Do what tmpfiles.d of NUT's packages asks for."""
    nut = pwd.getpwnam("nut")
    for folder in ("/run/nut", "/run/nut/upssched"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.chown(folder, 0 if folder == "/run/nut" else nut.pw_uid, nut.pw_gid)
        Path(folder).chmod(0o770)


def reap(running: list[Unit]) -> None:
    """Take away children of children that have ended: the first process inherits them."""
    ours = {unit.process.pid for unit in running if unit.process is not None}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, state = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state[0] == "Z" and state[1] == "1" and pid not in ours:
            with contextlib.suppress(ChildProcessError):  # a thread of ours was there first
                os.waitpid(pid, os.WNOHANG)


def stop_server(units: list[Unit]) -> None:
    """Stop the server, after what its drop-ins put before that, then the drivers."""
    for unit in units:
        unit.start_at = NEVER
    for line in settings_of(*drop_ins("nut-server.service")).get("ExecStop", []):
        done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
        for words in done.stdout.splitlines():
            note("log", f"nut-server: {words}", program="nut-server")
    for unit in sorted(units, key=lambda unit: unit.name, reverse=True):
        unit.stop()


def stop_all(running: list[Unit], guests: Guests) -> None:
    """Stop as systemd does: all at once, save what a drop-in orders to stay for the guests."""
    kept = settings_of(*drop_ins("pve-guests.service"), *drop_ins("nut-monitor.service"))
    stays = "nut-monitor.service" in " ".join(kept.get("After", [])) or (
        "pve-guests.service" in " ".join(kept.get("Before", []))
    )
    late = [unit for unit in running if stays and unit.name == "nut-monitor"]
    last = [unit for unit in running if unit.name.startswith(("nut-server", "nut-driver@"))]
    for unit in running:
        if unit not in (*late, *last):
            unit.stop()
    server = threading.Thread(target=stop_server, args=(last,))
    server.start()
    guests.stop()
    for unit in late:
        unit.stop()
    server.join()
    time.sleep(HOST["stop_seconds"])
    for unit in running:
        if unit.process is not None:
            unit.process.kill()


def main() -> None:
    """Boot, run until told to stop, stop."""
    told: list[str] = []
    signal.signal(signal.SIGUSR1, lambda *_: told.append("poweroff"))
    signal.signal(signal.SIGUSR2, lambda *_: told.append("reboot"))
    socket.sethostname(NAME)
    note("boot", "boots")
    hear_syslog()
    prepare()
    running = units(time.monotonic())
    guests = Guests()
    turn = 0
    while not told or HOST["hangs"]:
        time.sleep(TICK)
        turn += 1
        for unit in running:
            unit.look(time.monotonic())
        if turn % 20 == 0:
            reap(running)
    note("shutdown", f"is told to stop: {told[0]}")
    stop_all(running, guests)
    # The power side knows by this name that the file systems are down.
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"systemd-shutdow", 0, 0, 0)
    note("down", "file systems are down")
    with (SHARED / "hook.log").open("ab") as log:
        for hook in sorted(HOOKS.iterdir()):
            subprocess.run([str(hook), told[0]], stdout=log, stderr=log, check=False)
    if told[0] == "reboot":
        (SHARED / "reboot").touch()
    sys.stdout.flush()
    os._exit(0)


def witness(moment: str) -> None:
    """Do one thing for a unit of a full host, where systemd does the rest."""
    if moment == "boot":
        note("boot", "boots")
    elif moment == "stop":
        note("shutdown", "is told to stop")
    elif moment == "guests-start":
        note("guests-start", "guests start")
    elif moment == "guests-stop":
        stop_guests(HOST["guests"])


HOST = json.loads(Path("/etc/releve-world.json").read_text(encoding="utf-8"))
NAME: str = HOST["name"]

if __name__ == "__main__":
    if len(sys.argv) > 1:
        witness(sys.argv[1])
    else:
        main()
