"""Keep upsd until its clients are down, when this host is forced down.

upsmon 2.8.1 waits until they have logged out, save when upsd has no fresh data of the UPS at that
moment: then it waits for nobody, and a client whose guests still stop would be cut. And who has
logged out is not down: a client that stops for longer than this host would still write when the UPS
is told to cut. This is the ExecStop of nut-server.service, whose drivers stop after it: a UPS that
is heard again tells of the shutdown whoever has not heard yet. Without upsmon's flag (an ordinary
stop, a restart) it does nothing. Standard library only; tagged "runs for ever".
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import ReleveError
from releve.power.instant import Instant
from releve.power.rewake import Config
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LOOK = 0.5  # seconds between two looks
OWN = frozenset({"127.0.0.1", "::1"})
LOG = logging.getLogger("await-clients")


def logged_in(configs: Iterable[Config]) -> frozenset[str]:
    """Return who else is logged in at any UPS; nobody when upsd does not say."""
    found: set[str] = set()
    for one in configs:
        try:
            found |= Upsd(one.server, one.port).clients(one.ups)
        except ReleveError:
            continue
    return frozenset(found) - OWN


def since_forced(configs: Iterable[Config], now: Instant) -> float:
    """Return for how many seconds all clients could hear of the shutdown: upsmon has waited them.

    A tier may have been told long before the site, and of a UPS that says nothing nobody has heard.
    """
    return min((one.forced_for(now) or 0.0 for one in configs), default=0.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long clients are waited for, as the budget has it; seconds.

    `login`: HOSTSYNC, for one that stays logged in, since it could hear; `stop`: from the logout of
    the slowest until it is down; `whole`: the same since it could hear.
    """

    login: float
    stop: float = 0.0
    whole: float = math.inf


def await_clients(
    configs: Sequence[Config],
    patience: Patience,
    ask: Callable[[Iterable[Config]], frozenset[str]] = logged_in,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], Instant] = Instant.now,
) -> frozenset[str]:
    """Wait until nobody is logged in and all who were are down; return who has to be left.

    Who has logged out before the first look did so when nobody knows: it may just have been.
    """
    now = clock()
    heard = now.up - since_forced(configs, now)
    down = {"": min(now.up + patience.stop, heard + patience.whole)}
    there = ask(configs)
    if there and clock().up < heard + patience.login:
        LOG.info("waits for %s: upsmon has not", ", ".join(sorted(there)))
    while True:
        up = clock().up
        late = up >= heard + patience.login
        if not late:
            down |= dict.fromkeys(there, up + patience.stop)
        gone = [at for name, at in down.items() if name not in there]
        if (late or not there) and max(gone) <= up:
            return there
        sleep(LOOK)
        there = ask(configs)


def main(arguments: list[str]) -> int:
    """Wait where upsmon forces this host down; always 0, as nothing may keep it from stopping."""
    parser = argparse.ArgumentParser(prog="power.pyz await-clients")
    parser.add_argument("seconds", type=float, help="HOSTSYNC")
    parser.add_argument(
        "--stop",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="from the slowest client's logout until it is down",
    )
    parser.add_argument(
        "--whole",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="the same from when it could hear",
    )
    parser.add_argument("--config", type=Path, default=Path("/etc/releve/rewake.json"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        configs = Config.read(options.config)
        if any(one.flag_file.exists() for one in configs):
            patience = Patience(options.seconds, options.stop, options.whole)
            left = await_clients(configs, patience)
            if left:
                LOG.warning("still logged in: %s", ", ".join(sorted(left)))
    except (OSError, ReleveError) as error:
        LOG.warning("%s", error)
    return 0
