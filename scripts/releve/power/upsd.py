"""Ask upsd, NUT's server, on the UPS's host: variables, commands, and a battery test.

The words are those of NUT's network protocol (networkupstools.org, "Network protocol
information"). Standard library only.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from releve.errors import CheckError, LaterError
from releve.power.lint.parse import nut_lines
from releve.power.lint.read import read_users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 3493
PORTS = 65536
TRACK_SECONDS = 10.0  # within which a driver says what became of a command
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class NoAnswerError(LaterError):
    """Upsd is not there, or its driver has no fresh data: nothing is known of the UPS."""


class NoSuchUserError(CheckError):
    """A user of upsd is not in its file, or may not do what was asked."""


def place_of(text: str) -> tuple[str, int]:
    """Split HOST, HOST:PORT, IPv6 and [IPv6]:PORT; raises ValueError where the port is none."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    number = int(port or PORT)
    if not 0 < number < PORTS:
        message = f"{port} is no port"
        raise ValueError(message)
    return host, number


@dataclass(frozen=True, slots=True)
class User:
    """Who may send commands; the password never shows in a repr."""

    name: str
    password: str

    def __repr__(self) -> str:
        """Hide the password."""
        return f"User({self.name}, ***)"

    @classmethod
    def read(cls, file: Path, name: str) -> User:
        """Take a user out of upsd.users; raises NoSuchUserError."""
        try:
            text = file.read_bytes().decode("latin-1")
        except OSError as error:
            message = f"{file}: cannot be read ({error.strerror}); run this as root or as user nut"
            raise NoSuchUserError(message) from error
        found = read_users(nut_lines(text)).user(name)
        if found is not None and found.password is not None:
            return cls(name, found.password)
        message = (
            f"{file}: there is no user [{name}], who may start battery tests; give"
            " nut_primary_test_password and apply playbooks/power.yml"
        )
        raise NoSuchUserError(message)


@dataclass(frozen=True, slots=True)
class Upsd:
    """One upsd; each question is a connection of its own, and takes `timeout` seconds at most.

    With `tls_ca`, a file of authorities, nothing is asked in the clear and upsd must have a
    certificate of one of them, for `tls_name` where that is given.
    """

    server: str = "127.0.0.1"
    port: int = PORT
    timeout: float = 3.0
    tls_ca: Path | None = None
    tls_name: str | None = None

    def variables(self, ups: str) -> dict[str, str]:
        """Return all variables of a UPS; raises NoAnswerError, also for stale data."""
        with self._link(ups) as link:
            return dict(link.pairs("VAR"))

    def glance(self, ups: str, *names: str) -> tuple[dict[str, str], frozenset[str]]:
        """Return some variables, as far as there are such, and who is logged in; one connection.

        Raises NoAnswerError, also for stale data.
        """
        with self._link(ups) as link:
            found = {name: link.variable(name) for name in names}
            clients = frozenset(address for address, _rest in link.pairs("CLIENT"))
        return {name: value for name, value in found.items() if value is not None}, clients

    def commands(self, ups: str) -> frozenset[str]:
        """Return the names of the commands that the driver lists."""
        with self._link(ups) as link:
            return frozenset(name for name, _value in link.pairs("CMD"))

    def clients(self, ups: str) -> frozenset[str]:
        """Return the addresses that are logged in; raises NoAnswerError."""
        with self._link(ups) as link:
            return frozenset(address for address, _rest in link.pairs("CLIENT"))

    def send(self, ups: str, command: str, user: User) -> None:
        """Send a command, and wait until the driver says what became of it.

        Raises NoSuchUserError when the user may not, CheckError when the driver refuses it. A
        driver that does not answer in time is believed: only what follows can tell.
        """
        with self._link(ups) as link:
            for words in (f"USERNAME {_quoted(user.name)}", f"PASSWORD {_quoted(user.password)}"):
                link.ask(words)
            tracked = link.tries("SET TRACKING ON")
            answer = link.ask(f"INSTCMD {ups} {command}").split()
            number = answer[2] if tracked and len(answer) > 2 else ""  # noqa: PLR2004
            deadline = time.monotonic() + TRACK_SECONDS
            with suppress(OSError):  # the driver has it by now
                while number and time.monotonic() < deadline:
                    if link.ask(f"GET TRACKING {number}") != "PENDING":
                        return
                    time.sleep(0.1)

    @contextmanager
    def _link(self, ups: str) -> Iterator[_Link]:
        try:
            with socket.create_connection((self.server, self.port), timeout=self.timeout) as link:
                yield _Link(self._secured(link, ups), ups)
        except ssl.SSLError as error:
            message = (
                f"{ups}: upsd at {self.server} has no certificate of {self.tls_ca}"
                f" ({error.reason or error}); give both the same authority"
            )
            raise CheckError(message) from error
        except (OSError, UnicodeError, OverflowError) as error:
            message = f"{ups}: upsd at {self.server} does not answer ({error})"
            raise NoAnswerError(message) from error

    def _secured(self, link: socket.socket, ups: str) -> socket.socket:
        """Go over to TLS where that is configured; raises CheckError, OSError."""
        if self.tls_ca is None:
            return link
        context = ssl.create_default_context(cafile=str(self.tls_ca))
        context.check_hostname = self.tls_name is not None
        link.sendall(b"STARTTLS\n")
        said = b""
        while not said.endswith(b"\n"):  # a byte each: what follows is TLS
            byte = link.recv(1)
            if not byte:
                message = "the connection was closed"
                raise OSError(message)
            said += byte
        if not said.startswith(b"OK"):
            answer = said.decode("ascii", "replace").strip()
            message = (
                f"{ups}: upsd at {self.server} offers no TLS ({answer});"
                " give it CERTPATH and CERTIDENT"
            )
            raise CheckError(message)
        return context.wrap_socket(link, server_hostname=self.tls_name)


class _Link:
    """One connection: a line a question, a line or a list an answer."""

    def __init__(self, link: socket.socket, ups: str) -> None:
        self.ups = ups
        self.lines = link.makefile("rw", encoding="utf-8", newline="\n")

    def ask(self, words: str) -> str:
        self.lines.write(words + "\n")
        self.lines.flush()
        return self.hear(words)

    def tries(self, words: str) -> bool:
        """Ask for what an older upsd may not know."""
        self.lines.write(words + "\n")
        self.lines.flush()
        return not self._line().startswith("ERR")

    def hear(self, words: str) -> str:
        answer = self._line()
        if answer.startswith("ERR"):
            self._fail(words, answer.removeprefix("ERR").strip())
        return answer

    def _line(self) -> str:
        line = self.lines.readline()
        if not line.endswith("\n"):
            message = "the connection was closed"
            raise OSError(message)
        return line.strip()

    def variable(self, name: str) -> str | None:
        """Return one variable, None when the UPS has none of that name."""
        try:
            answer = self.ask(f"GET VAR {self.ups} {name}")
        except CheckError:  # VAR-NOT-SUPPORTED; stale data go on up
            return None
        return _value(answer.removeprefix(f"VAR {self.ups} {name} "))

    def pairs(self, what: str) -> Iterator[tuple[str, str]]:
        """Yield name and value of each line of a list."""
        self.ask(f"LIST {what} {self.ups}")
        head = f"{what} {self.ups} "
        while not (answer := self.hear(f"LIST {what}")).startswith("END"):
            name, _, rest = answer.removeprefix(head).partition(" ")
            yield name, _value(rest)

    def _fail(self, words: str, said: str) -> NoReturn:
        shown = words if not words.startswith("PASSWORD") else "PASSWORD"
        message = f"{self.ups}: upsd says {said} to {shown}"
        if said.split()[0:1] in (["DATA-STALE"], ["DRIVER-NOT-CONNECTED"], ["UNKNOWN-UPS"]):
            raise NoAnswerError(message)
        if said.split()[0:1] in (["ACCESS-DENIED"], ["INVALID-PASSWORD"], ["INVALID-USERNAME"]):
            raise NoSuchUserError(message)
        raise CheckError(message)


def _quoted(word: str) -> str:
    """Return a word so that upsd takes it whole: it takes a line apart as it does its files."""
    if [line.words for line in nut_lines(f"{word} .\n")] == [(word, ".")]:
        return word
    return '"' + re.sub(r'([\\"#])', r"\\\1", word) + '"'


def _value(text: str) -> str:
    """Take a value out of its quotes."""
    quoted = _QUOTED.search(text)
    return re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else text
