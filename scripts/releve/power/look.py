"""Show what upsd says of a UPS: `look UPS` prints JSON; standard library only.

`{"variables": {name: value, ...}, "clients": [address, ...]}`, values as upsd gives them. With
`--every SECONDS` one line for each look, with `at` (UTC, ISO 8601), and `error` instead of the
rest when nobody answered; until the reader is gone.

For whoever asks from another machine: over ssh, since upsd lets in those alone whom it guards.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
import time
from dataclasses import dataclass

from releve.errors import ExitCode, ReleveError
from releve.power.upsd import PORT, NoAnswerError, Upsd

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class UpsSeen:
    """What upsd says of one UPS: all of its variables, and who is logged in."""

    variables: dict[str, str]
    clients: tuple[str, ...]

    @property
    def status(self) -> frozenset[str]:
        """The words of `ups.status`."""
        return frozenset(self.variables.get("ups.status", "").split())


def look(ups: str, server: str = ADDRESS, port: int = PORT) -> UpsSeen:
    """Ask once; raises NoAnswerError when upsd is away, stale, or does not know the UPS."""
    upsd = Upsd(server, port)
    return UpsSeen(upsd.variables(ups), tuple(sorted(upsd.clients(ups))))


def utc_now() -> str:
    """Return the present time in UTC, ISO 8601 with milliseconds and a final Z."""
    moment = datetime.datetime.now(tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main(arguments: list[str]) -> int:
    """Print what upsd says; 75 when it says nothing now."""
    parser = argparse.ArgumentParser(prog="power.pyz look", description="Ask upsd about a UPS.")
    parser.add_argument("ups")
    parser.add_argument("--server", default=ADDRESS)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--every", type=float, metavar="SECONDS")
    chosen = parser.parse_args(arguments)
    if chosen.every is not None:
        return _go_on(chosen.ups, chosen.server, chosen.port, chosen.every)
    try:
        seen = look(chosen.ups, chosen.server, chosen.port)
    except ReleveError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    answer = {"variables": seen.variables, "clients": list(seen.clients)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return ExitCode.DONE


def _go_on(ups: str, server: str, port: int, every: float) -> int:
    """Print a line for each look, until nobody reads any more."""
    due = time.monotonic()
    try:
        while True:
            sys.stdout.write(json.dumps(_line(ups, server, port)) + "\n")
            sys.stdout.flush()
            due = max(due + every, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    except BrokenPipeError:
        # The interpreter shall not complain, at its end, that it cannot flush.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def _line(ups: str, server: str, port: int) -> dict[str, object]:
    at = utc_now()
    try:
        seen = look(ups, server, port)
    except NoAnswerError as error:
        return {"at": at, "error": str(error)}
    return {"at": at, "variables": seen.variables, "clients": list(seen.clients)}
