"""End the QEMU of a guest that has powered off, as PVE's qmeventd does.

Guests run with -no-shutdown, so that QEMU stays (with its dirty bitmaps) until somebody ends it.
Whoever sends {"vzdump": {"vmid": "101"}} on the same socket and keeps it open holds that end back.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .place import Place

GRACE_SECONDS = 0.6
KILL_SECONDS = 10
RECEIVE_BYTES = 65_536
CAPABILITIES = b'{"execute": "qmp_capabilities"}\n'
logger = logging.getLogger(__name__)


def messages(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield each JSON text as soon as it is whole; as qmeventd's parser, no line end is needed."""
    decoder, text = json.JSONDecoder(), ""
    while data := connection.recv(RECEIVE_BYTES):
        text += data.decode()
        while text := text.lstrip():
            try:
                message, end = decoder.raw_decode(text)
            except ValueError:
                break  # the rest is on its way
            text = text[end:]
            yield message


class Watcher:
    """Listens for QEMU's events and for those who hold a guest back."""

    def __init__(self, place: Place) -> None:
        """Keep where the socket is."""
        self.place = place
        self.lock = threading.Lock()
        self.holders: dict[int, int] = {}
        self.waiting: set[int] = set()

    def serve(self) -> None:
        """Answer connections for ever, each in a thread."""
        self.place.events.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.place.events))
            self.place.events.chmod(0o600)
            server.listen(64)
            while True:
                connection = server.accept()[0]
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        pid = struct.unpack(
            "3i",
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")),
        )[0]
        held = None
        with connection:
            try:
                for message in messages(connection):
                    if "QMP" in message:
                        connection.sendall(CAPABILITIES)
                    elif "vzdump" in message:
                        held = int(message["vzdump"]["vmid"])
                        self._hold(held, 1)
                    elif message.get("event") == "SHUTDOWN" and message["data"]["guest"]:
                        self._ended(pid)
            except (OSError, ValueError) as error:
                logger.info("connection of %s ends: %s", pid, error)
        if held is not None:
            self._hold(held, -1)

    def _hold(self, vmid: int, step: int) -> None:
        with self.lock:
            self.holders[vmid] = self.holders.get(vmid, 0) + step
            let_go = self.holders[vmid] <= 0
        pid = self._pid_of(vmid)
        if let_go and pid in self.waiting:
            self._terminate(pid)

    def _ended(self, pid: int) -> None:
        vmid = self._vmid_of(pid)
        with self.lock:
            self.waiting.add(pid)
            held = self.holders.get(vmid, 0) > 0
        logger.info("guest %s has powered off%s", vmid, ", held back" if held else "")
        if not held:
            time.sleep(GRACE_SECONDS)
            self._terminate(pid)

    def _terminate(self, pid: int) -> None:
        with self.lock:
            if pid not in self.waiting:
                return
            self.waiting.discard(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            end = time.monotonic() + KILL_SECONDS
            while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
                time.sleep(0.05)

    def _vmid_of(self, pid: int) -> int:
        for path in self.place.run.glob("*.pid"):
            if path.read_text().strip() == str(pid):
                return int(path.stem)
        return 0

    def _pid_of(self, vmid: int) -> int:
        path = self.place.run / f"{vmid}.pid"
        return int(path.read_text()) if path.exists() else 0
