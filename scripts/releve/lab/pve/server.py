"""The HTTP side: TLS, parameters, and answers with PVE's statuses and reason phrases."""

from __future__ import annotations

import json
import logging
import random
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from . import access, guests, pools, storage, tokencalls
from .api import Answer, Call, Double, Endpoint
from .identity import Identity
from .parameters import text, verify
from .refusal import Refusal, bad

if TYPE_CHECKING:
    from pathlib import Path

    from .place import Place

PREFIX = "/api2/json"
TICKET = "/access/ticket"
NOT_A_TOKEN = (
    f"Permission check failed (URI '{TICKET}' not available with API token, need proper ticket.\n)"
)
LOGIN = {
    "username": text(required=True, max_length=64),
    "password": text(required=True),
    "realm": text(max_length=32),
}
ENDPOINTS: tuple[Endpoint, ...] = (
    *access.ENDPOINTS,
    *tokencalls.ENDPOINTS, *storage.ENDPOINTS, *pools.ENDPOINTS, *guests.ENDPOINTS,
)  # fmt: skip
logger = logging.getLogger(__name__)


def shuffled(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return the value with the keys of objects in another order at each call, as PVE does."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(inner)) for key, inner in value.items()]
        return dict(random.sample(pairs, len(pairs)))
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


class Server(ThreadingHTTPServer):
    """One double, listening."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], place: Place, tls: tuple[Path, Path], late: float = 3
    ) -> None:
        """Bind; `tls` is certificate and key, `late` the seconds a wrong secret makes wait."""
        super().__init__(address, Handler)
        self.double = Double(place)
        self.identity = Identity(place, late)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*tls)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Do the TLS handshake in the connection's own thread, then answer."""
        request.settimeout(60)
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except OSError as error:
            logger.info("connection of %s ends: %s", client_address, error)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two small ones wait 40 ms for each other.
    wbufsize = 1 << 16
    server_version = "pve-api-daemon/3.0"
    sys_version = ""
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's names
        """Log on the level of detail; bodies are never logged."""
        logger.info(format, *args)

    def do_GET(self) -> None:  # the base's name
        """Answer any method alike."""
        try:
            answer = self._answer()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        beside = answer.beside if isinstance(answer, Answer) else {}
        data = answer.data if isinstance(answer, Answer) else answer
        self._send(200, "OK", {"data": data, **beside})

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> Any:  # noqa: ANN401  # what endpoints answer
        url = urlsplit(self.path)
        path, given = self._path(url.path), self._parameters(url.query)
        token = self.headers.get("Authorization", "").startswith("PVEAPIToken=")
        if path == TICKET and self.command == "POST" and not token:
            return self._login(given)
        caller = self.server.identity.caller(self.command, self.headers)
        if path == TICKET and self.command == "POST":
            raise Refusal(403, NOT_A_TOKEN)
        for endpoint in ENDPOINTS:
            variables = endpoint.match(self.command, path)
            if variables is not None:
                return self._run(endpoint, Call(self.server.double, caller, given), variables)
        raise Refusal(501, f"Method '{self.command} {path}' not implemented")

    def _run(self, endpoint: Endpoint, call: Call, variables: dict[str, str]) -> Any:  # noqa: ANN401
        clashing = {
            name: "duplicate parameter (already defined in URI) with conflicting values!"
            for name, value in variables.items()
            if str(call.given.get(name, value)) != value
        }
        call.given = call.given | variables
        if endpoint.check:
            endpoint.check(call)
        if clashing:
            raise bad(clashing)
        call.values = verify(endpoint.parameters, call.given)
        node = call.values.get("node")
        if node not in {None, "localhost", call.double.place.node}:
            lookup = f"failed to get address info for: {node}: Name or service not known"
            raise Refusal(500, f"hostname lookup '{node}' failed - {lookup}")
        return endpoint.code(call)

    def _login(self, given: dict[str, Any]) -> dict[str, object]:
        values = verify(LOGIN, given)
        user = values["username"]
        if "realm" in values and "@" not in user:
            user = f"{user}@{values['realm']}"
        return self.server.identity.login(user, values["password"])

    def _path(self, raw: str) -> str:
        path = unquote(raw)
        if not path.startswith(PREFIX):
            raise Refusal(501, f"Method '{self.command} {path}' not implemented")
        return path.removeprefix(PREFIX).rstrip("/") or "/"

    def _parameters(self, query: str) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode() if length else ""
        if body and self.command == "DELETE":
            raise Refusal(501, "Unexpected content for method 'DELETE'")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if body and kind == "application/json":
            try:
                sent: dict[str, Any] = json.loads(body)
            except ValueError as error:
                raise Refusal(500, f"{error} at /usr/share/perl5/PVE/APIServer") from error
            return sent
        if body and kind != "application/x-www-form-urlencoded":
            raise Refusal(506, f"upload 'Content-Type '{kind}' not implemented")
        given: dict[str, Any] = {}
        for name, value in parse_qsl(f"{query}&{body}", keep_blank_values=True):
            before = given.get(name)
            several = [*before, value] if isinstance(before, list) else [before, value]
            given[name] = value if before is None else several
        return given

    def _refuse(self, refusal: Refusal) -> None:
        reason = refusal.message.split("\n")[0]
        unknown = refusal.status == 401 and refusal.errors is None  # noqa: PLR2004  # HTTP's number
        if unknown:
            self._send(401, reason, None)
            return
        content: dict[str, Any] = {"data": None, "message": refusal.message}
        if refusal.status != 501:  # noqa: PLR2004  # HTTP's number; PVE writes no newline there
            content["message"] += "\n"
        if refusal.errors:
            content["errors"] = refusal.errors
        self._send(refusal.status, reason, content)

    def _send(self, status: int, reason: str, content: dict[str, Any] | None) -> None:
        body = b"" if content is None else json.dumps(shuffled(content)).encode()
        self.send_response(status, reason.encode("latin-1", "replace").decode("latin-1"))
        if content is not None:
            self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
