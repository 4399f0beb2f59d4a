#!/usr/bin/python3
"""Driver `labups`: NUT's driver-socket protocol on top of files that the world writes.

Started by stock upsdrvctl as every driver is (`-a UPS`, `-F` in the foreground, `-k` to cut the
output); runs as user nut; standard library only. `ignorelb` and `override.*` do what NUT's own
drivers make of them.
"""

from __future__ import annotations

import getopt
import json
import os
import pwd
import re
import select
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

WORLD = Path(os.environ.get("LABUPS_WORLD", "/run/releve-world"))
CONF = Path(os.environ.get("LABUPS_CONF", "/etc/nut/ups.conf"))
RUN = Path(os.environ.get("LABUPS_RUN", "/run/nut"))
STALE_SECONDS = 5.0  # the world writes several times a second; later it is as a pulled cable
COMMANDS = (
    "load.off",
    "load.on",
    "shutdown.return",
    "shutdown.stayoff",
    "shutdown.stop",
    "test.battery.start.deep",
    "test.battery.start.quick",
    "test.battery.stop",
)
LOW = (("battery.charge", "battery.charge.low"), ("battery.runtime", "battery.runtime.low"))


def section_of(text: str, ups: str) -> dict[str, str]:
    """Return the settings of one UPS in ups.conf; a flag has the value "yes"."""
    settings: dict[str, str] = {}
    current = ""
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        if line.startswith("["):
            current = line.strip("[]")
        elif line and current == ups:
            key, _, value = line.partition("=")
            settings[key.strip()] = value.strip().strip('"') or "yes"
    return settings


def leading_number(text: str) -> int:
    """Return what C's strtol makes of it: NUT judges thresholds by that."""
    match = re.match(r"\s*[-+]?\d+", text)
    return int(match.group()) if match else 0


def published(
    state: dict[str, Any], settings: dict[str, str], own: dict[str, str]
) -> dict[str, str]:
    """Return the variables that upsd gets to see: the device's, then overrides, then LB anew."""
    values = own | {key: str(value) for key, value in state["vars"].items()}
    values["driver.name"] = "labups"
    for key, value in settings.items():
        if key.startswith("override."):
            values[key.removeprefix("override.")] = value
    if "ignorelb" in settings:
        values["driver.flag.ignorelb"] = "enabled"
        words = [word for word in values["ups.status"].split() if word != "LB"]
        if any(
            value in values
            and low in values
            and leading_number(values[value]) < leading_number(values[low])
            for value, low in LOW
        ):
            words.append("LB")
        values["ups.status"] = " ".join(words)
    return values


class Device:
    """The UPS at the other end of the cable: the world's files."""

    def __init__(self, port: str, settings: dict[str, str]) -> None:
        """Take the delays from ups.conf; they go along with each command."""
        self.state_file = WORLD / f"{port}.json"
        self.command_folder = WORLD / f"{port}.cmd.d"
        self.settings = settings
        self.own = {
            "device.type": "ups",
            "ups.delay.shutdown": settings.get("offdelay", "20"),
            "ups.delay.start": settings.get("ondelay", "30"),
            "battery.charge.low": "20",
        }

    def send(self, command: str) -> None:
        """Give the UPS a command; raises OSError when nobody is there to take it."""
        name = uuid.uuid4().hex
        part = self.command_folder / f".{name}"
        order = {
            "command": command,
            "offdelay": float(self.own["ups.delay.shutdown"]),
            "ondelay": float(self.own["ups.delay.start"]),
            "from": socket.gethostname(),
        }
        part.write_text(json.dumps(order), encoding="utf-8")
        part.replace(self.command_folder / name)

    def read(self) -> dict[str, str] | None:
        """Return what the UPS says now, or None when it says nothing."""
        try:
            age = time.time() - self.state_file.stat().st_mtime
            state = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if age > STALE_SECONDS or not state["comms"]:
            return None
        return published(state, self.settings, self.own)


class Driver:
    """The socket that upsd talks to: one line a message, all clients told of each change."""

    def __init__(self, device: Device, server: socket.socket) -> None:
        """Serve `device` on an already listening socket."""
        self.device, self.server = device, server
        self.peers: dict[socket.socket, bytes] = {}
        self.values: dict[str, str] = {}
        self.fresh: bool | None = None

    def tell(self, line: str) -> None:
        """Send one line to every peer; one that is gone is dropped."""
        for peer in list(self.peers):
            try:
                peer.sendall(line.encode() + b"\n")
            except OSError:
                self.drop(peer)

    def drop(self, peer: socket.socket) -> None:
        """Forget a peer."""
        self.peers.pop(peer, None)
        peer.close()

    def poll(self) -> None:
        """Publish what has changed since the last look."""
        values = self.device.read()
        if values is None:
            if self.fresh is not False:
                self.fresh = False
                self.tell("DATASTALE")
            return
        for key, value in values.items():
            if self.values.get(key) != value:
                self.tell(f'SETINFO {key} "{value}"')
        for key in self.values.keys() - values.keys():
            self.tell(f"DELINFO {key}")
        self.values = values
        if not self.fresh:
            self.fresh = True
            self.tell("DATAOK")

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            ready, _, _ = select.select([self.server, *self.peers], [], [], 0.2)
            for one in ready:
                if one is self.server:
                    self.peers[self.server.accept()[0]] = b""
                else:
                    self._read(one)
            self.poll()

    def _read(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.drop(peer)
            return
        *lines, self.peers[peer] = (self.peers[peer] + data).split(b"\n")
        for line in lines:
            answer = self._answer(line.decode(errors="replace").split())
            try:
                peer.sendall("".join(f"{word}\n" for word in answer).encode())
            except OSError:
                self.drop(peer)
                return

    def _answer(self, words: list[str]) -> list[str]:
        if words[:1] == ["PING"]:
            return ["PONG"]
        if words[:1] == ["DUMPALL"]:
            values = [f'SETINFO {key} "{value}"' for key, value in self.values.items()]
            commands = [f"ADDCMD {command}" for command in COMMANDS]
            return [*values, *commands, "DATAOK" if self.fresh else "DATASTALE", "DUMPDONE"]
        if words[:1] == ["INSTCMD"] and len(words) > 1:
            return self._tracked(words, self._command(words[1]))
        return self._tracked(words, 1)

    def _command(self, command: str) -> int:
        """Return NUT's status of a command: 0 done, 1 unknown, 3 failed."""
        if command not in COMMANDS:
            return 1
        try:
            self.device.send(command)
        except OSError:
            return 3
        return 0

    @staticmethod
    def _tracked(words: list[str], status: int) -> list[str]:
        if "TRACKING" not in words[:-1]:
            return []
        return [f"TRACKING {words[words.index('TRACKING') + 1]} {status}"]


def become_nut() -> None:
    """Drop root as NUT's drivers do; the world's folders are open to that user."""
    if os.getuid() == 0:
        nut = pwd.getpwnam("nut")
        os.initgroups("nut", nut.pw_gid)
        os.setgid(nut.pw_gid)
        os.setuid(nut.pw_uid)


def listen(ups: str) -> socket.socket:
    """Return the driver's socket, where upsd looks for it."""
    path = RUN / f"labups-{ups}"
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o660)
    server.listen(5)
    return server


def main() -> None:
    """Do what upsdrvctl asks for."""
    options = dict(getopt.gnu_getopt(sys.argv[1:], "a:kDFBhVu:x:i:qd:s:")[0])
    if "-V" in options or "-h" in options:
        sys.stdout.write("labups: the driver of the embedded lab's UPS\n")
        return
    ups = options["-a"]
    settings = section_of(CONF.read_text(encoding="utf-8"), ups)
    device = Device(settings["port"], settings)
    become_nut()
    if "-k" in options:
        device.send("shutdown.return")
        return
    server = listen(ups)
    if "-F" not in options and "-D" not in options and os.fork():
        os._exit(0)
    pid_file = RUN / f"labups-{ups}.pid"
    pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")

    def leave(_signal: int, _frame: object) -> None:
        pid_file.unlink(missing_ok=True)
        (RUN / f"labups-{ups}").unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Driver(device, server).serve()


if __name__ == "__main__":
    main()
