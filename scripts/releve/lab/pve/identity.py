"""Who is asking: root's password, tickets with their CSRF word, and API tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .refusal import Refusal
from .rights import ROOT, load
from .secretfile import token_secrets

if TYPE_CHECKING:
    from email.message import Message

    from .place import Place

TICKET_SECONDS = 7200
COOKIE = "PVEAuthCookie"
TOKEN = "PVEAPIToken="  # noqa: S105  # the word before a token, no secret


class Identity:
    """Checks requests and hands out tickets."""

    def __init__(self, place: Place, refusal_seconds: float) -> None:
        """Keep where the secrets are and how long a wrong one makes wait."""
        self.place = place
        self.refusal_seconds = refusal_seconds

    def caller(self, method: str, headers: Message) -> str:
        """Return `user` or `user!token`, or raise the 401 that PVE answers."""
        authorization = headers.get("Authorization", "")
        if authorization.startswith(TOKEN):
            return self._token(authorization.removeprefix(TOKEN))
        ticket = self._cookie(headers)
        if not ticket:
            raise Refusal(401, "No ticket")
        user, stamp = self._ticket(ticket)
        sent = headers.get("CSRFPreventionToken", "")
        if method != "GET" and not hmac.compare_digest(sent, self._csrf(user, stamp)):
            raise self._late("Permission denied - invalid csrf token")
        return user

    def login(self, user: str, password: str) -> dict[str, object]:
        """Return a ticket for root, or raise the 401 of a wrong password."""
        file = self.place.root_password
        known = file.read_text(encoding="utf-8").rstrip("\n") if file.exists() else ""
        right = bool(known) and hmac.compare_digest(known.encode(), password.encode())
        if user != ROOT or not right:
            raise self._late("authentication failure", told=True)
        stamp = f"{int(time.time()):08X}"
        ticket = f"PVE:{user}:{stamp}::{self._sign(f'{user}:{stamp}')}"
        csrf = self._csrf(user, stamp)
        return {"username": user, "ticket": ticket, "CSRFPreventionToken": csrf, "cap": {}}

    def _late(self, message: str, *, told: bool = False) -> Refusal:
        time.sleep(self.refusal_seconds)
        refusal = Refusal(401, message)
        # Only the login tells its reason in the body; other 401 have an empty one.
        refusal.errors = {} if told else None
        return refusal

    def _token(self, words: str) -> str:
        name, _, secret = words.partition("=")
        content = load(self.place)
        known = token_secrets(self.place).get(name, "")
        info = content["tokens"].get(name)
        right = bool(known) and hmac.compare_digest(known.encode(), secret.encode())
        if not right or info is None or 0 < int(info["expire"]) < time.time():
            raise self._late("Authentication failed!")
        if not content["users"][name.partition("!")[0]]["enable"]:
            raise self._late("Authentication failed!")
        return name

    def _cookie(self, headers: Message) -> str:
        for word in headers.get("Cookie", "").split(";"):
            name, _, value = word.strip().partition("=")
            if name == COOKIE:
                return unquote(value.strip('"'))
        return ""

    def _ticket(self, ticket: str) -> tuple[str, str]:
        start, _, signature = ticket.partition("::")
        kind, _, rest = start.partition(":")
        user, _, stamp = rest.rpartition(":")
        right = hmac.compare_digest(signature, self._sign(f"{user}:{stamp}"))
        if kind != "PVE" or not right or time.time() - int(stamp, 16) > TICKET_SECONDS:
            raise self._late("Authentication failed!")
        return user, stamp

    def _csrf(self, user: str, stamp: str) -> str:
        return f"{stamp}:{self._sign(f'csrf:{user}:{stamp}')}"

    def _sign(self, words: str) -> str:
        digest = hmac.new(self._key(), words.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode().rstrip("=")

    def _key(self) -> bytes:
        file = self.place.secrets / "authkey"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(32), encoding="utf-8")
        return file.read_bytes()
