"""A line of some length: `python3 late.py LISTEN SERVER SECONDS`, unix sockets, one way.

Bytes arrive SECONDS after they were sent, in both directions, and as many as are sent: the line is
long, not narrow. It runs in a process of its own, beside the engine that is measured.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time

PART = 1 << 18
ON_THE_WAY = 256  # parts: 64 MiB


def carry(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Carry one direction of a connection until it ends."""
    parts: queue.Queue[tuple[float, bytes]] = queue.Queue(ON_THE_WAY)

    def deliver() -> None:
        while True:
            arrives, data = parts.get()
            time.sleep(max(0.0, arrives - time.monotonic()))
            try:
                target.sendall(data)
                if not data:
                    target.shutdown(socket.SHUT_WR)
            except OSError:  # whoever reads has gone
                return
            if not data:
                return

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            data = source.recv(PART)
        except OSError:
            data = b""
        parts.put((time.monotonic() + seconds, data))
        if not data:
            return


def main(listen: str, server: str, seconds: float) -> None:
    """Serve until killed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen)
    listener.listen(16)
    while True:
        near = listener.accept()[0]
        far = socket.socket(socket.AF_UNIX)
        far.connect(server)
        for ends in ((near, far), (far, near)):
            threading.Thread(target=carry, args=(*ends, seconds), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
