"""The stand-in says what upsd would."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from releve.power.look import look
from releve.power.shadow.stand_in import StandIn
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[StandIn]:
    here = StandIn("127.0.0.1", 0, ["ups1"])
    here.values["ups1"] = {"battery.charge": "100", "ups.status": "OL"}
    yield here
    here.server.shutdown()
    here.server.server_close()


def port_of(server: StandIn) -> int:
    return int(server.server.server_address[1])


def test_a_look_sees_what_is_played(server: StandIn) -> None:
    seen = look("ups1", port=port_of(server))

    assert seen.status == {"OL"}
    assert seen.variables["battery.charge"] == "100"
    assert seen.clients == ()
    with pytest.raises(NoAnswerError, match="UNKNOWN-UPS"):
        look("other", port=port_of(server))


def test_upsmon_logs_in_asks_and_is_told_fsd(server: StandIn) -> None:
    def ask(line: str) -> str:
        return server.answer(line.split(), 1)

    assert ask("STARTTLS").startswith("ERR")
    assert [ask("USERNAME any"), ask("PASSWORD any"), ask("LOGIN ups1")] == ["OK", "OK", "OK"]
    assert ask("GET VAR ups1 ups.status") == 'VAR ups1 ups.status "OL"'
    assert ask("GET NUMLOGINS ups1") == "NUMLOGINS ups1 1"
    server.forced.add("ups1")
    assert ask("GET VAR ups1 ups.status") == 'VAR ups1 ups.status "FSD OL"'
    assert ask("GET VAR ups1 ups.test.result") == "ERR VAR-NOT-SUPPORTED"
    assert ask("LOGIN ups9") == "ERR UNKNOWN-UPS"
    assert ask("SHUTDOWN") == "ERR UNKNOWN-COMMAND"


def test_who_hangs_up_is_no_longer_logged_in(server: StandIn) -> None:
    import socket  # noqa: PLC0415  # for this test alone

    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=3) as link:
        link.sendall(b"LOGIN ups1\n")
        assert link.recv(100) == b"OK\n"
        assert look("ups1", port=port_of(server)).clients == ("127.0.0.1",)
    deadline = time.monotonic() + 3
    while server.logins["ups1"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not server.logins["ups1"]
