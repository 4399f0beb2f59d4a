"""A small upsd for tests: a UPS as a dict, commands as functions, upsd's own words."""

from __future__ import annotations

import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.power.upsd import Upsd

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase
    from pathlib import Path

PASSWORD = "only-for-this-test-1"  # noqa: S105  # of nobody


@dataclass
class SmallUpsd:
    """What the UPS says; `on_command` runs in the server's thread."""

    values: dict[str, str] = field(default_factory=dict)
    commands: dict[str, Callable[[], None]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    stale: bool = False
    refuses: bool = False
    tracking: bool = True
    logged_in: list[str] = field(default_factory=list)
    certificate: Path | None = None  # with its key; None: no TLS
    link: Upsd = field(default_factory=Upsd)

    def answers(self, line: str, state: dict[str, str]) -> list[str]:  # noqa: PLR0911  # a table
        """Return the lines that upsd would say."""
        words = line.split()
        match words:
            case ["USERNAME" | "PASSWORD" as key, value]:
                state[key] = value
                return ["OK"]
            case ["SET", "TRACKING", "ON"]:
                return ["OK"] if self.tracking else ["ERR FEATURE-NOT-SUPPORTED"]
            case ["GET", "TRACKING", _]:
                return ["ERR FAILED"] if self.refuses else ["SUCCESS"]
            case [*_, ups] if words[0] == "LIST" and ups != "ups1":
                return ["ERR UNKNOWN-UPS"]
            case ["LIST", "VAR", ups] if not self.stale:
                rows = [f'VAR {ups} {key} "{_quoted(value)}"' for key, value in self.values.items()]
                return [f"BEGIN LIST VAR {ups}", *rows, f"END LIST VAR {ups}"]
            case ["LIST", "CLIENT", ups]:
                rows = [f"CLIENT {ups} {address}" for address in self.logged_in]
                return [f"BEGIN LIST CLIENT {ups}", *rows, f"END LIST CLIENT {ups}"]
            case ["LIST", "CMD", ups]:
                rows = [f"CMD {ups} {name}" for name in self.commands]
                return [f"BEGIN LIST CMD {ups}", *rows, f"END LIST CMD {ups}"]
            case ["INSTCMD", _, command]:
                if state.get("PASSWORD") != PASSWORD:
                    return ["ERR ACCESS-DENIED"]
                if command not in self.commands:
                    return ["ERR CMD-NOT-SUPPORTED"]
                self.sent.append(command)
                self.commands[command]()
                return ["OK TRACKING 1bd31808-cb49-4aec-9d75-d056e6f018d2"]
        return ["ERR DATA-STALE" if self.stale else "ERR UNKNOWN-COMMAND"]


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _over_tls(link: socket.socket, certificate: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context.wrap_socket(link, server_side=True)


@contextmanager
def serving(upsd: SmallUpsd) -> Iterator[SmallUpsd]:
    """Serve on loopback; `upsd.link` reaches it."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            state: dict[str, str] = {}
            lines: BufferedIOBase = self.rfile
            say = self.request.sendall
            while raw := lines.readline():
                if raw == b"STARTTLS\n" and upsd.certificate is not None:
                    say(b"OK STARTTLS\n")
                    with suppress(OSError):  # who does not trust us goes away
                        link = _over_tls(self.request, upsd.certificate)
                        lines, say = link.makefile("rb"), link.sendall
                        continue
                    return
                answer = "".join(f"{one}\n" for one in upsd.answers(raw.decode().strip(), state))
                say(answer.encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        upsd.link = Upsd(port=server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield upsd
        finally:
            server.shutdown()
