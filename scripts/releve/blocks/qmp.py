"""QEMU's monitor: connect, do, close. A held monitor blinds everybody else who shares it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Protocol, Self

from releve.blocks.errors import MonitorError

if TYPE_CHECKING:
    from types import TracebackType

RECEIVE_BYTES = 65_536


class Monitor(Protocol):
    """Whatever carries a QMP command to QEMU: a socket here, `virsh` on a libvirt host."""

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON
        """Return what QEMU answers; raise MonitorError when it refuses."""


def arguments_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments as QMP spells them (`node_name` -> `node-name`)."""
    return {key.replace("_", "-"): value for key, value in arguments.items()}


class Qmp:
    """A connection to one monitor socket; use it in a `with` block and leave it soon."""

    def __init__(self, path: str, timeout: float = 30) -> None:
        """Connect and negotiate. Raises MonitorError, also when somebody else holds the monitor."""
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        self._count = 0
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
            self.greeting = self._receive().get("QMP", {})
            self.execute("qmp_capabilities")
        except (OSError, MonitorError) as error:
            self._socket.close()
            message = f"{path}: no answer from QEMU's monitor ({error}); does somebody hold it?"
            raise MonitorError(message) from error

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                message = f"{self._path}: QEMU closed the monitor"
                raise MonitorError(message)
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON
        """Run one command and return its answer; events that come before are kept in `events`."""
        self._count += 1
        words = {"execute": command, "arguments": arguments_of(arguments), "id": self._count}
        try:
            self._socket.sendall(json.dumps(words).encode() + b"\n")
            answer = self._receive()
            while "event" in answer:
                self.events.append(answer)
                answer = self._receive()
        except OSError as error:
            message = f"{self._path}: {command}: {error}"
            raise MonitorError(message) from error
        if "error" in answer:
            message = f"{command}: {answer['error']['desc']}"
            raise MonitorError(message)
        if answer.get("id") != self._count:
            message = f"{self._path}: {command}: an answer to another command came"
            raise MonitorError(message)
        return answer["return"]

    def close(self) -> None:
        """Let go of the monitor."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the open connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the monitor, whatever happened."""
        self.close()
