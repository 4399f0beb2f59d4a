"""A PVE host's API: TLS verified, errors as one sentence in PVE's own words."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from proxmoxer.backends.https import Backend
from proxmoxer.core import AuthenticationError, ProxmoxResource, ResourceException

from releve.errors import ReleveError
from releve.pve.tokens import Token, load_token

if TYPE_CHECKING:
    from pathlib import Path

    from releve.town import Town

PORT = 8006
ROOT = "root@pam"
TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.2
ERRORS_FROM = 400
logger = logging.getLogger(__name__)


class PveError(ReleveError):
    """PVE refused a request; `status` is HTTP's, 0 when it did not answer at all."""

    def __init__(
        self, sentence: str, *, status: int = 0, parameters: dict[str, str] | None = None
    ) -> None:
        """Keep what was refused; `parameters` says which were wrong, and why."""
        super().__init__(sentence)
        self.status = status
        self.parameters = parameters or {}


class TaskError(ReleveError):
    """A task of PVE ended with something else than OK."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an API is, and the certificate authority that vouches for it (None: the system's)."""

    name: str
    host: str
    ca_file: Path | None = None
    port: int = PORT

    @classmethod
    def of(cls, town: Town, node: str) -> Address:
        """Return the address of a node of the town."""
        ca_file = town.path(town.pve.ca_file) if town.pve.ca_file else None
        return cls(node, str(town.hosts[node].address), ca_file)


class Pve:
    """One API as one caller; paths are PVE's own, like `/nodes/pve1/qemu`."""

    def __init__(self, address: Address, **login: str) -> None:
        """Connect; `login` is proxmoxer's. Use `with_token` or `with_password`."""
        self.address = address
        verify = str(address.ca_file) if address.ca_file else True
        try:
            backend = Backend(
                address.host,
                port=address.port,
                verify_ssl=verify,
                timeout=TIMEOUT_SECONDS,
                **login,
            )
        except AuthenticationError as error:
            sentence = f"{address.name}: the password of {login['user']} is not accepted"
            raise PveError(f"{sentence}; see the town's secrets file", status=401) from error
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(error) from error
        session = backend.get_session()
        # proxmoxer tells the reason phrase only, which ends at PVE's first newline.
        session.hooks["response"].append(_whole_message)
        self._root = ProxmoxResource(
            base_url=backend.get_base_url(),
            session=session,
            serializer=backend.get_serializer(),
        )

    @classmethod
    def with_token(cls, address: Address, token: Token) -> Pve:
        """Return the API as a token sees it; nothing is sent yet."""
        user, _, name = token.id.partition("!")
        return cls(address, user=user, token_name=name, token_value=token.secret)

    @classmethod
    def with_password(cls, address: Address, password: str, user: str = ROOT) -> Pve:
        """Return the API as a user sees it; asks for a ticket at once."""
        return cls(address, user=user, password=password)

    @classmethod
    def of(cls, town: Town, node: str, token_id: str) -> Pve:
        """Return the API of a node of the town, with a token whose secret is kept beside it."""
        return cls.with_token(Address.of(town, node), load_token(town, node, token_id))

    def get(self, path: str, /, **parameters: object) -> Any:  # noqa: ANN401  # any JSON value
        """Read; raises PveError."""
        return self._ask("GET", path, parameters)

    def post(self, path: str, /, **parameters: object) -> Any:  # noqa: ANN401  # any JSON value
        """Create or act; raises PveError."""
        return self._ask("POST", path, parameters)

    def put(self, path: str, /, **parameters: object) -> Any:  # noqa: ANN401  # any JSON value
        """Change; raises PveError."""
        return self._ask("PUT", path, parameters)

    def delete(self, path: str, /, **parameters: object) -> Any:  # noqa: ANN401  # any JSON value
        """Remove; raises PveError."""
        return self._ask("DELETE", path, parameters)

    def ask(self, method: str, path: str, parameters: dict[str, object]) -> Any:  # noqa: ANN401
        """Send one request; for parameters whose names are no Python names."""
        return self._ask(method, path, parameters)

    def wait(self, upid: str, timeout: float) -> None:
        """Wait for a task; raises TaskError with PVE's words when it fails or takes too long."""
        node = upid.split(":")[1]
        end = time.monotonic() + timeout
        while (state := self.get(f"/nodes/{node}/tasks/{upid}/status"))["status"] != "stopped":
            if time.monotonic() > end:
                kind, what = upid.split(":")[5:7]
                message = f"{self.address.name}: task {kind} {what} has no end after {timeout:g} s"
                raise TaskError(message)
            time.sleep(POLL_SECONDS)
        outcome = str(state["exitstatus"])
        if outcome.startswith("WARNINGS"):
            logger.warning("%s ended with %s", upid, outcome)
        elif outcome != "OK":
            sentence = f"{self.address.name}: task {state['type']} {state['id']}: {outcome}"
            raise TaskError(sentence)

    def _ask(self, method: str, path: str, parameters: dict[str, object]) -> Any:  # noqa: ANN401
        resource = self._root(path.strip("/"))
        sent = {key: _wire(value) for key, value in parameters.items()}
        call = getattr(resource, method.lower())
        try:
            return call(**sent)
        except ResourceException as error:
            raise self._refused(method, path, error) from error
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _refused(self, method: str, path: str, error: ResourceException) -> PveError:
        said = str(error.content).split(" - {")[0].strip().replace("\n", " ")
        wrong = error.errors if isinstance(error.errors, dict) else {}
        details = "; ".join(f"{key}: {' '.join(str(why).split())}" for key, why in wrong.items())
        sentence = f"{self.address.name}: {method} {path}: {error.status_code} {said}"
        return PveError(
            f"{sentence} ({details})" if details else sentence,
            status=error.status_code,
            parameters={key: str(why) for key, why in wrong.items()},
        )

    def _unreachable(self, error: Exception) -> PveError:
        url = f"https://{self.address.host}:{self.address.port}"
        if isinstance(error, requests.exceptions.SSLError):
            authority = self.address.ca_file or "the system's authorities"
            why = f"its certificate is not vouched for by {authority}"
            return PveError(f"{self.address.name}: {url}: {why}; set pve.ca_file in town.yml")
        return PveError(f"{self.address.name}: {url} does not answer ({type(error).__name__})")


def _wire(value: object) -> object:
    """Return a value as PVE takes it in a form: 1 and 0, lists with commas."""
    if isinstance(value, bool):
        return int(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _whole_message(response: requests.Response, **_more: object) -> None:
    if response.status_code < ERRORS_FROM:
        return
    try:
        message = json.loads(response.text).get("message", "")
    except (ValueError, AttributeError):
        return
    response.reason = message.strip() or response.reason
