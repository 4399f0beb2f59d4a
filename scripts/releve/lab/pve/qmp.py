"""QEMU's control socket: connect, ask, close at once, since others share it."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

from .refusal import fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAUSE = 0.1


def ask(
    path: Path, *commands: dict[str, Any], vmid: int = 0, seconds: float = 5
) -> list[dict[str, Any]]:
    """Send commands in one short connection and return their answers.

    QEMU serves one connection at a time: a busy socket gives no greeting, so it is tried again
    until `seconds` are over; then PVE's words are raised.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return _converse(path, ({"execute": "qmp_capabilities"}, *commands))[1:]
        except (OSError, EOFError):
            if time.monotonic() > end:
                message = f"VM {vmid} qmp command '{commands[0]['execute']}' failed"
                raise fault(f"{message} - unable to connect to VM {vmid} qmp socket") from None
            time.sleep(PAUSE)


def _converse(path: Path, commands: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    answers = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(str(path))
        # The stream keeps the descriptor open, so that it must be closed as well.
        with connection.makefile("rwb") as stream:
            _line(stream.readline)
            for command in commands:
                stream.write(json.dumps(command).encode() + b"\n")
                stream.flush()
                answer = _line(stream.readline)
                while "event" in answer:
                    answer = _line(stream.readline)
                if "error" in answer:
                    raise fault(
                        f"VM qmp command '{command['execute']}' failed - {answer['error']['desc']}"
                    )
                answers.append(answer)
    return answers


def _line(read: Callable[[], bytes]) -> dict[str, Any]:
    line = read()
    if not line:
        message = "the monitor closed"
        raise EOFError(message)
    answer: dict[str, Any] = json.loads(line)
    return answer
