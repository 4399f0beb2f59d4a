"""An upsd of a few lines, for a host that only follows: its own upsd is on another host.

It says what the stage lets it say, takes any name and password (whether the real ones are right
is seen at the real upsd, where the host is logged in), and speaks TLS where it is given a
certificate; then it says nothing in the clear, as a stolen look would be no proof. Network
protocol: NUT's developer guide, "Network protocol information".
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

STARTTLS = "OK STARTTLS"
NO_TLS = "ERR FEATURE-NOT-CONFIGURED"
TLS_ONLY = "ERR ACCESS-DENIED"
GREETINGS = {
    "VER": "Network UPS Tools upsd 2.8.1",
    "NETVER": "1.3",
    "PROTVER": "1.3",
    "LOGOUT": "OK Goodbye",
    "USERNAME": "OK",
    "PASSWORD": "OK",
}
# Of one UPS.
ACTS = {
    "LOGIN": "OK",
    "PRIMARY": "OK PRIMARY-GRANTED",
    "MASTER": "OK MASTER-GRANTED",
    "FSD": "OK FSD-SET",
}


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class StandIn:
    """Serves the variables of some UPSes on one address and port."""

    def __init__(
        self, address: str, port: int, upses: Iterable[str], secured: ssl.SSLContext | None = None
    ) -> None:
        """Listen, in the background; raises OSError when the address is taken."""
        self.secured = secured
        self.values: dict[str, dict[str, str]] = {ups: {} for ups in upses}
        self.forced: set[str] = set()
        self.logins: dict[str, set[int]] = {ups: set() for ups in self.values}
        outer = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.talk(self)

        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = type("Server", (_Threads,), {"address_family": family})
        self.server = kind((address, port), Talk)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def how(self) -> str:
        """What it is, for the timeline."""
        return f"is played by a stand-in, {'over TLS' if self.secured else 'in the clear'}"

    def talk(self, link: socketserver.StreamRequestHandler) -> None:
        """Answer one client until it hangs up, or is no match for the certificate."""
        mine = id(link)
        lines, over_tls = link.rfile, False
        say = link.connection.sendall
        try:
            with contextlib.suppress(OSError):
                while raw := lines.readline():
                    words = raw.decode(errors="replace").split()
                    asked = [word.upper() for word in words] == ["STARTTLS"]
                    if asked and self.secured and not over_tls:
                        say(f"{STARTTLS}\n".encode())
                        connection = self.secured.wrap_socket(link.connection, server_side=True)
                        lines, say = connection.makefile("rb"), connection.sendall
                        over_tls = True
                    elif asked or (self.secured and not over_tls):
                        say(f"{NO_TLS if asked else TLS_ONLY}\n".encode())
                    else:
                        say(self.answer(words, mine).encode() + b"\n")
        finally:
            for logins in self.logins.values():
                logins.discard(mine)

    def answer(self, words: list[str], client: int) -> str:
        """Return what upsd says to one line of a client."""
        verb = words[0].upper() if words else ""
        ups = words[1] if len(words) > 1 else ""
        if verb in GREETINGS:
            return GREETINGS[verb]
        if verb in {"GET", "LIST"}:
            return self._read([word.strip('"') for word in words])
        if verb in ACTS and ups not in self.values:
            return "ERR UNKNOWN-UPS"
        if verb == "LOGIN":
            self.logins[ups].add(client)
        elif verb == "FSD":
            self.forced.add(ups)
        return ACTS.get(verb, "ERR UNKNOWN-COMMAND")

    def _read(self, words: list[str]) -> str:
        verb, what, ups, name = (*words, "", "", "", "")[:4]
        if ups not in self.values:
            return "ERR UNKNOWN-UPS"
        values = dict(self.values[ups])
        if ups in self.forced:
            values["ups.status"] = f"FSD {values.get('ups.status', '')}".strip()
        rows = {
            "CLIENT": [f"CLIENT {ups} 127.0.0.1" for _ in self.logins[ups]],
            "VAR": [f'VAR {ups} {key} "{value}"' for key, value in values.items()],
        }
        if verb.upper() == "LIST" and what in rows:
            head = f"LIST {what} {ups}"
            return "\n".join([f"BEGIN {head}", *rows[what], f"END {head}"])
        if what == "NUMLOGINS":
            return f"NUMLOGINS {ups} {len(self.logins[ups])}"
        if what == "VAR" and name in values:
            return f'VAR {ups} {name} "{values[name]}"'
        return "ERR VAR-NOT-SUPPORTED" if what == "VAR" else "ERR INVALID-ARGUMENT"
