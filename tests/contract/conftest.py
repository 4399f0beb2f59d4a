"""A host to hold to PVE's contract: the double on loopback, or a real one that is named.

RELEVE_PVE_URL (https://host:8006), RELEVE_PVE_CA and RELEVE_PVE_PASSWORD name a real host, on which
objects are made and removed. PVE's schema and recorded exchanges are in `../shared/pve` beside the
project, or where RELEVE_SHARED says; without them the tests that need them are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from releve.lab.pve.api import Endpoint
from releve.lab.pve.place import Place
from releve.lab.pve.server import ENDPOINTS, LOGIN, TICKET

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOUBLE = ROOT / "scripts/releve/lab/pve"
PASSWORD = "lab-password"  # noqa: S105  # the recording's own, on loopback
NODE = "pve1"


# All that the double answers; a login is no endpoint of its own there.
EVERY_ENDPOINT = (*ENDPOINTS, Endpoint("POST", TICKET, LOGIN, lambda _call: None))


@dataclass(frozen=True)
class Answer:
    """What came back, as far as a client can rely on it."""

    status: int
    reason: str
    body: Any

    @property
    def data(self) -> Any:
        """The part that an endpoint answers."""
        return self.body["data"]


class Caller:
    """One identity at one host."""

    def __init__(self, host: Host, headers: dict[str, str], ticket: str = "") -> None:
        """Keep how this identity shows itself."""
        self.host = host
        self.session = requests.Session()
        # The environment may name other authorities, which would win.
        self.session.trust_env = False
        self.session.verify = host.ca
        self.session.headers.update(headers)
        if ticket:
            self.session.cookies.set("PVEAuthCookie", ticket)

    def ask(
        self, method: str, path: str, params: dict[str, Any] | None = None, *, json: bool = False
    ) -> Answer:
        """Send one request as PVE's own clients do: a form, or the query for GET and DELETE."""
        in_query = method in {"GET", "DELETE"}
        sent = {key: value for key, value in (params or {}).items() if value is not None}
        answer = self.session.request(
            method,
            f"{self.host.url}/api2/json{path}",
            params=sent if in_query else None,
            data=None if in_query or json else sent,
            json=sent if json and not in_query else None,
            timeout=30,
        )
        body = answer.json() if answer.content[:1] == b"{" else answer.text
        return Answer(answer.status_code, str(answer.reason), body)


@dataclass
class Host:
    """Where the contract is tried."""

    url: str
    ca: str
    password: str

    @property
    def anonymous(self) -> Caller:
        """Somebody who shows nothing."""
        return Caller(self, {})

    def root(self) -> Caller:
        """Return root with a ticket."""
        login = {"username": "root@pam", "password": self.password}
        data = self.anonymous.ask("POST", "/access/ticket", login).data
        csrf = {"CSRFPreventionToken": data["CSRFPreventionToken"]}
        return Caller(self, csrf, data["ticket"])

    def token(self, token_id: str, secret: str) -> Caller:
        """Return a caller with an API token."""
        return Caller(self, {"Authorization": f"PVEAPIToken={token_id}={secret}"})


def shared(name: str) -> Path:
    """Return a file of PVE's data, or skip the test with the reason."""
    places = [Path(os.environ[key]) for key in ("RELEVE_SHARED",) if key in os.environ]
    places += [ROOT.parent / "shared", ROOT.parent.parent / "shared"]
    for place in places:
        if (place / "pve" / name).exists():
            return place / "pve" / name
    return pytest.skip(f"PVE's {name} is not in ../shared/pve (RELEVE_SHARED names another place)")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The folders of the double."""
    place = Place(tmp_path_factory.mktemp("double"), NODE)
    place.prepare()
    return place


@pytest.fixture(scope="session")
def host(place: Place) -> Iterator[Host]:
    """The host under test."""
    if "RELEVE_PVE_URL" in os.environ:
        url, ca, password = (os.environ[f"RELEVE_PVE_{key}"] for key in ("URL", "CA", "PASSWORD"))
        yield Host(url, ca, password)
        return
    authority = place.config / "pve-root-ca.pem"
    place.root_password.write_text(PASSWORD)
    words = [sys.executable, str(DOUBLE)]
    options = ["--root", str(place.root), "--node", NODE]
    port = place.root / "port"
    serve = [*words, "serve", *options, "--listen", "127.0.0.1:0", "--late", "0"]
    with (
        (place.root / "log").open("wb") as log,
        subprocess.Popen([*words, "watch", *options], stderr=log) as watch,
        subprocess.Popen([*serve, "--port-file", str(port)], stderr=log) as server,
    ):
        try:
            end = time.monotonic() + 20
            while not port.exists() and time.monotonic() < end:
                time.sleep(0.05)
            yield Host(f"https://127.0.0.1:{port.read_text()}", str(authority), PASSWORD)
        finally:
            for process in (server, watch):
                process.terminate()
