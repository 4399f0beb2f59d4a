"""Servers on loopback that keep what they are sent: mail by SMTP, posts by HTTP."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage


@dataclass
class Mailbox:
    """What came by SMTP; while `down` it takes nothing."""

    mails: list[EmailMessage] = field(default_factory=list)
    port: int = 0
    down: bool = False


@dataclass
class Posts:
    """What came by HTTP: path, headers and body; while `down` it answers 503."""

    seen: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    port: int = 0
    down: bool = False

    def bodies(self, part_of_path: str) -> list[Any]:
        """Return the bodies that went to a path, JSON decoded where they are."""
        return [_decoded(body) for path, _head, body in self.seen if part_of_path in path]


def _decoded(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Take mail, whoever it is for."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, words: str) -> None:
            self.wfile.write(words.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("421 not now" if box.down else "220 small")
            for raw in self.rfile:
                word = raw[:4].upper().decode().strip()
                if word == "DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    text = b"".join(lines)
                    message = email.message_from_bytes(text, policy=policy.default)
                    box.mails.append(message)
                if word == "QUIT":
                    self.say("221 bye")
                    return
                self.say("421 not now" if box.down else "250 ok")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        yield from _serve(server, box)


@contextmanager
def posts() -> Iterator[Posts]:
    """Take posts; a Matrix server's questions are answered."""
    kept = Posts()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            kept.seen.append((self.path, dict(self.headers), body))
            words = {"room_id": "!room:127.0.0.1", "access_token": "t", "user_id": "@u:127.0.0.1"}
            if "joined_rooms" in self.path:
                words = {"joined_rooms": ["!room:127.0.0.1"]}  # type: ignore[dict-item]  # JSON
            self.send_response(503 if kept.down else 200)
            self.end_headers()
            self.wfile.write(json.dumps(words).encode())

        do_POST = do_PUT = do_GET = answer  # noqa: N815  # names of http.server

        def log_message(self, *_words: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.port = server.server_address[1]
        yield from _serve(server, kept)


def _serve(server: socketserver.BaseServer, kept: Any) -> Iterator[Any]:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield kept
    finally:
        server.shutdown()
