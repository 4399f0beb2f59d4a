"""What upsd hears on the socket of a driver."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from releve.power.driver_socket import DriverSocket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Upsd:
    """The other end; each turn lets the driver serve what is due."""

    def __init__(self, path: Path) -> None:
        """Start the driver and connect to it."""
        self.driver = DriverSocket(path)
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(2)
        self.link.connect(str(path))
        self.driver.serve(1)

    def hear(self) -> list[str]:
        self.link.setblocking(False)
        try:
            return self.link.recv(65536).decode().splitlines()
        except BlockingIOError:
            return []

    def ask(self, words: str) -> list[str]:
        self.link.sendall(words.encode())
        self.driver.serve(1)
        return self.hear()


@pytest.fixture
def upsd(tmp_path: Path) -> Iterator[Upsd]:
    peer = Upsd(tmp_path / "releve-policy-site")
    yield peer
    peer.link.close()
    peer.driver.close()


def test_all_is_told_when_asked_and_changes_at_once(upsd: Upsd) -> None:
    upsd.driver.publish({"ups.status": "OL", "battery.charge": "100"})
    assert upsd.hear() == ['SETINFO ups.status "OL"', 'SETINFO battery.charge "100"', "DATAOK"]
    dump = upsd.ask("DUMPALL\n")
    assert dump == [
        'SETINFO ups.status "OL"', 'SETINFO battery.charge "100"', "DATAOK", "DUMPDONE",
    ]  # fmt: skip

    upsd.driver.publish({"ups.status": "OB"})
    assert upsd.hear() == ["DELINFO battery.charge", 'SETINFO ups.status "OB"']


def test_it_is_stale_until_something_is_known_and_when_it_is_not_any_more(upsd: Upsd) -> None:
    assert upsd.ask("DUMPALL\n") == ["DATASTALE", "DUMPDONE"]

    upsd.driver.publish({"ups.status": "OL"})
    upsd.hear()
    upsd.driver.publish(None)
    upsd.driver.publish(None)
    assert upsd.hear() == ["DATASTALE"]
    upsd.driver.publish({"ups.status": "OL"})
    assert upsd.hear() == ["DATAOK"]


def test_it_answers_pings_and_knows_no_command(upsd: Upsd) -> None:
    assert upsd.ask("PING\n") == ["PONG"]
    assert upsd.ask("INSTCMD load.off TRACKING 4711\n") == ["TRACKING 4711 1"]
    assert upsd.ask("PI") == []
    assert upsd.ask("NG\nPING\n") == ["PONG", "PONG"]


def test_a_peer_that_is_gone_is_forgotten(upsd: Upsd, tmp_path: Path) -> None:
    upsd.link.close()
    upsd.driver.serve(1)
    upsd.driver.publish({"ups.status": "OL"})

    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(tmp_path / "releve-policy-site"))
        upsd.driver.serve(1)
        other.sendall(b"PING\n")
        upsd.driver.serve(1)
        assert other.recv(100) == b"PONG\n"


def test_quotes_are_escaped(upsd: Upsd) -> None:
    upsd.driver.publish({"ups.model": 'a "b" \\ c'})

    assert upsd.hear()[0] == 'SETINFO ups.model "a \\"b\\" \\\\ c"'
