"""The witness's client: what it understands and what it refuses."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from releve import witness

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUS = (
    b'{"newest":7,"sum":"00000000000000aa","chain":"whole","records":8,"boots":2,"unclean":1,'
    b'"uptime_ms":350,"ms":1795597126187,"mac":"52:54:00:91:00:01"}\n'
)


class Guest(socketserver.StreamRequestHandler):
    """Answers each question as the test says."""

    def handle(self) -> None:
        question = self.rfile.readline().decode().strip()
        answers: dict[str, bytes] = self.server.answers  # type: ignore[attr-defined]
        self.wfile.write(answers.get(question, b"what?\n"))


@pytest.fixture
def answers() -> dict[str, bytes]:
    return {"status": STATUS}


@pytest.fixture
def port(answers: dict[str, bytes]) -> Iterator[int]:
    with socketserver.TCPServer(("127.0.0.1", 0), Guest) as server:
        server.answers = answers  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_status(port: int) -> None:
    status = witness.ask("127.0.0.1", port)
    assert (status.newest, status.unclean, status.whole) == (7, 1, True)


@pytest.mark.parametrize(
    "change", [(b'"whole"', b'"broken at 3"'), (b'"records":8', b'"records":6')]
)
def test_a_chain_that_is_not_whole(
    answers: dict[str, bytes], port: int, change: tuple[bytes, bytes]
) -> None:
    answers["status"] = STATUS.replace(*change)
    assert not witness.ask("127.0.0.1", port).whole


def test_records_that_are_there_and_that_are_not(answers: dict[str, bytes], port: int) -> None:
    answers["record 3"] = b'{"record":3,"sum":"bb","kind":2,"ms":5}\n'
    answers["record 4"] = b'{"record":4,"missing":true}\n'
    assert witness.record("127.0.0.1", port, 3) == witness.Record(3, "bb", 2, 5)
    assert witness.record("127.0.0.1", port, 4) is None


@pytest.mark.parametrize("answer", [b"", b"hello\n", b"[1]\n", b'{"newest":1}\n'])
def test_something_else_that_listens_there(
    answers: dict[str, bytes], port: int, answer: bytes
) -> None:
    answers["status"] = answer
    with pytest.raises(witness.WitnessError, match=str(port)):
        witness.ask("127.0.0.1", port)


def test_nobody_listens() -> None:
    with pytest.raises(witness.WitnessError, match="no answer"):
        witness.await_answer("127.0.0.1", 1, 0.2)
