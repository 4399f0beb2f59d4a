"""Show what upsd says of a UPS: `look UPS` prints JSON; standard library only.

`{"variables": {name: value, ...}, "clients": [address, ...]}`, values as upsd gives them; with
`--followed`, `"followed": {name: status, ...}` of those. With
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
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from releve.errors import ExitCode, ReleveError
from releve.power.upsd import PORT, Upsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ADDRESS = "127.0.0.1"
FSD = "FSD"


@dataclass(frozen=True, slots=True)
class UpsSeen:
    """What upsd says of one UPS: all of its variables, and who is logged in.

    `followed`: what monitors follow in its place, each with its status; none in mode stock.
    """

    variables: dict[str, str]
    clients: tuple[str, ...]
    followed: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> frozenset[str]:
        """The words of `ups.status`."""
        return frozenset(self.variables.get("ups.status", "").split())

    @property
    def told(self) -> frozenset[str]:
        """The names whose monitors are told to stop now."""
        each = self.followed or {"": self.variables.get("ups.status", "")}
        return frozenset(name for name, status in each.items() if FSD in status.split())


def look(
    ups: str, server: str = ADDRESS, port: int = PORT, followed: Iterable[str] = ()
) -> UpsSeen:
    """Ask once; raises NoAnswerError when upsd is away, stale, or does not know the UPS.

    `followed`: what monitors follow in its place, the virtual UPSes of mode policy, the site's
    first. Who is logged in is asked of all, and the site's FSD is added to what the UPS says.
    """
    upsd = Upsd(server, port)
    variables = upsd.variables(ups)
    said = {name: upsd.variables(name).get("ups.status", "") for name in followed}
    words = variables.get("ups.status", "").split()
    if said and FSD in next(iter(said.values())).split() and FSD not in words:
        variables["ups.status"] = " ".join([*words, FSD])
    clients = {one for name in said or (ups,) for one in upsd.clients(name)}
    return UpsSeen(variables, tuple(sorted(clients)), said)


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
    parser.add_argument("--followed", action="append", default=[], metavar="VIRTUAL-UPS",
                        help="What monitors follow in its place, in mode policy.")  # fmt: skip
    chosen = parser.parse_args(arguments)
    ask = partial(look, chosen.ups, chosen.server, chosen.port, chosen.followed)
    if chosen.every is not None:
        return _go_on(ask, chosen.every)
    try:
        seen = ask()
    except ReleveError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(_answer(seen)) + "\n")
    return ExitCode.DONE


def _go_on(ask: Callable[[], UpsSeen], every: float) -> int:
    """Print a line for each look, until nobody reads any more."""
    due = time.monotonic()
    try:
        while True:
            sys.stdout.write(json.dumps(_line(ask)) + "\n")
            sys.stdout.flush()
            due = max(due + every, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    except BrokenPipeError:
        # The interpreter shall not complain, at its end, that it cannot flush.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def _line(ask: Callable[[], UpsSeen]) -> dict[str, object]:
    at = utc_now()
    try:
        seen = ask()
    except ReleveError as error:
        return {"at": at, "error": str(error)}
    return {"at": at, **_answer(seen)}


def _answer(seen: UpsSeen) -> dict[str, object]:
    followed = {"followed": seen.followed} if seen.followed else {}
    return {"variables": seen.variables, "clients": list(seen.clients), **followed}
