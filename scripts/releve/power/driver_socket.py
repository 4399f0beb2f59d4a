"""The socket on which a NUT driver tells upsd what its UPS says; standard library only.

The words are those of NUT's driver-to-server protocol (networkupstools.org, developer guide,
"Driver/server socket protocol"): one line a message, all peers are told of each change.
"""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


PATIENCE = 1.0  # seconds for a peer that does not read; then it is left, and may come again


class DriverSocket:
    """Serves one virtual UPS; raises OSError when the socket cannot be made."""

    def __init__(self, path: Path) -> None:
        """Listen where upsd looks for a driver of this name; nothing is fresh yet."""
        path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o660)  # group nut, as every driver's
        self._server.listen(5)
        self._peers: dict[socket.socket, bytes] = {}
        self._values: dict[str, str] = {}
        self._fresh = False

    def publish(self, values: Mapping[str, str] | None) -> None:
        """Tell all peers what has changed; None: nothing is known any more."""
        if values is None:
            if self._fresh:
                self._fresh = False
                self._tell("DATASTALE")
            return
        for name in self._values.keys() - values.keys():
            self._tell(f"DELINFO {name}")
        for name, value in values.items():
            if self._values.get(name) != value:
                self._tell(f'SETINFO {name} "{_escaped(value)}"')
        self._values = dict(values)
        if not self._fresh:
            self._fresh = True
            self._tell("DATAOK")

    def serve(self, seconds: float) -> None:
        """Answer for at most so long; returns early when somebody has asked."""
        ready, _, _ = select.select([self._server, *self._peers], [], [], seconds)
        for one in ready:
            if one is self._server:
                peer = self._server.accept()[0]
                peer.settimeout(PATIENCE)
                self._peers[peer] = b""
            else:
                self._hear(one)

    def close(self) -> None:
        """Leave; upsd sees at once that the driver is gone."""
        for peer in (*self._peers, self._server):
            peer.close()

    def _tell(self, line: str) -> None:
        for peer in list(self._peers):
            self._send(peer, line + "\n")

    def _send(self, peer: socket.socket, text: str) -> None:
        try:
            peer.sendall(text.encode())
        except OSError:
            self._drop(peer)

    def _drop(self, peer: socket.socket) -> None:
        self._peers.pop(peer, None)
        peer.close()

    def _hear(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        *lines, self._peers[peer] = (self._peers[peer] + data).split(b"\n")
        for line in lines:
            if peer in self._peers:
                self._send(peer, self._answer(line.decode(errors="replace").split()))

    def _answer(self, words: list[str]) -> str:
        if words[:1] == ["PING"]:
            return "PONG\n"
        if words[:1] == ["DUMPALL"]:
            values = [f'SETINFO {name} "{_escaped(text)}"' for name, text in self._values.items()]
            state = "DATAOK" if self._fresh else "DATASTALE"
            return "\n".join((*values, state, "DUMPDONE", ""))
        if "TRACKING" in words[:-1]:  # no command and no setting is known here
            return f"TRACKING {words[words.index('TRACKING') + 1]} 1\n"
        return ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
