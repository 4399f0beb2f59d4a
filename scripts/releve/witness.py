"""Ask a guest's witness: what it wrote last, and whether all it ever wrote is still there.

A witness is a TCP port that answers one line with one line of JSON. The lab's guests have one
(scripts/releve/lab/guest/chain.c); a site can put the same behind any service whose state matters.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from releve.errors import ReleveError

_LIMIT = 4096  # bytes of an answer; a real one has some 200


class WitnessError(ReleveError):
    """The witness does not answer, or not as a witness does."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a guest says of its records; `newest` is on its disk before it is said.

    `chain` is "whole" or "broken at N". `boots` counts starts, `unclean` those that no orderly
    stop precedes. `ms` is the newest record's time (Unix, milliseconds, by the guest's clock).
    """

    newest: int
    sum: str
    chain: str
    records: int
    boots: int
    unclean: int
    uptime_ms: int
    ms: int = 0
    mac: str = ""

    @property
    def whole(self) -> bool:
        """Whether every record is there, unchanged and in order."""
        return self.chain == "whole" and self.records >= self.newest


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a chain; kind 1 is a boot, 2 is work, 3 is an orderly stop."""

    n: int
    sum: str
    kind: int
    ms: int


def ask(address: str, port: int, timeout: float = 5) -> Status:
    """Return what the guest says now; raises WitnessError after `timeout` seconds without it."""
    answer = _line(address, port, "status", timeout)
    try:
        return Status(**answer)
    except TypeError as error:
        message = f"{address}:{port}: not a witness's status ({error}): {answer}"
        raise WitnessError(message) from None


def record(address: str, port: int, n: int, timeout: float = 5) -> Record | None:
    """Return record `n` (the first is 1), None when the guest has no such record."""
    answer = _line(address, port, f"record {n}", timeout)
    if answer.get("missing"):
        return None
    try:
        return Record(answer["record"], answer["sum"], answer["kind"], answer["ms"])
    except KeyError as error:
        message = f"{address}:{port}: record {n} lacks {error}: {answer}"
        raise WitnessError(message) from None


def await_answer(address: str, port: int, seconds: float) -> Status:
    """Ask until the guest answers, at most so long; raises WitnessError with the last reason."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask(address, port, timeout=3)
        except WitnessError as error:
            if time.monotonic() > deadline:
                message = f"no answer within {seconds:g} s; last: {error}"
                raise WitnessError(message) from None
        time.sleep(0.1)


def deafen(address: str, port: int, timeout: float = 5) -> None:
    """Make a lab's guest ignore its power button: a fault that a drill must see."""
    if _line(address, port, "deaf", timeout) != {"deaf": True}:
        message = f"{address}:{port}: the guest did not become deaf"
        raise WitnessError(message)


def _line(address: str, port: int, question: str, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    data = b""
    try:
        with socket.create_connection((address, port), timeout=timeout) as connection:
            connection.sendall(f"{question}\n".encode())
            while len(data) < _LIMIT:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                chunk = connection.recv(_LIMIT)
                if not chunk:
                    break
                data += chunk
    except OSError as error:
        message = f"{address}:{port}: no answer to '{question}': {error}"
        raise WitnessError(message) from None
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        message = f"{address}:{port}: '{question}' was answered by {data[:80]!r}, not by JSON"
        raise WitnessError(message)
    return answer


def main() -> None:
    """Print a guest's status as JSON: `python -m releve.witness ADDRESS PORT [SECONDS|deaf]`."""
    address, port, *more = sys.argv[1:]
    try:
        if more == ["deaf"]:
            deafen(address, int(port))
            return
        status = await_answer(address, int(port), float(more[0]) if more else 0)
    except WitnessError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(asdict(status)) + "\n")


if __name__ == "__main__":
    main()
