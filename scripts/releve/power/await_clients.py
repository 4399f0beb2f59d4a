"""Keep upsd until its clients have logged out, when this host is forced down.

upsmon 2.8.1 waits for them by itself, save when upsd has no fresh data of the UPS at that moment:
then it waits for nobody, and a client whose guests still stop would be cut. This is the ExecStop of
nut-server.service, whose drivers stop after it: a UPS that is heard again tells of the shutdown
whoever has not heard yet. Without upsmon's flag (an ordinary stop, a restart) it does nothing.
Standard library only; tagged "runs for ever".
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
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


def await_clients(
    configs: Sequence[Config],
    seconds: float,
    ask: Callable[[Iterable[Config]], frozenset[str]] = logged_in,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], Instant] = Instant.now,
) -> frozenset[str]:
    """Wait until nobody is logged in, `seconds` at most since clients could hear; return who is."""
    now = clock()
    end = now.up + seconds - since_forced(configs, now)
    there = ask(configs)
    if there and clock().up < end:
        LOG.info("waits for %s: upsmon has not", ", ".join(sorted(there)))
    while there and clock().up < end:
        sleep(LOOK)
        there = ask(configs)
    return there


def main(arguments: list[str]) -> int:
    """Wait where upsmon forces this host down; always 0, as nothing may keep it from stopping."""
    parser = argparse.ArgumentParser(prog="power.pyz await-clients")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--config", type=Path, default=Path("/etc/releve/rewake.json"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        configs = Config.read(options.config)
        if any(one.flag_file.exists() for one in configs):
            left = await_clients(configs, options.seconds)
            if left:
                LOG.warning("still logged in: %s", ", ".join(sorted(left)))
    except (OSError, ReleveError) as error:
        LOG.warning("%s", error)
    return 0
