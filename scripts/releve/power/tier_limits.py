"""When mode `policy` stops a tier of a UPS, for who drains its battery on purpose.

Nothing holds a decision of the policy back: whoever tests the battery has to end before it. In mode
`stock` nothing is said here. Standard library only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.power import gate, policy

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """The first that any tier stops at: seconds on battery, runtime left, charge; None: none."""

    seconds: float | None = None
    runtime: float | None = None
    charge: float | None = None


def limits_of(ups: str, config: Path = gate.CONFIG, decides: Path = policy.CONFIG) -> Limits | None:
    """Return the limits of a UPS in mode policy, None in mode stock; raises InputError.

    By what the gate looks at: a file of the policy may be left of another time.
    """
    try:
        guards = gate.Config.read(config).upses
    except InputError:  # not applied yet
        return None
    if not any(one.name == f"{ups}-site" for one in guards):
        return None
    try:
        entries = json.loads(decides.read_text(encoding="utf-8"))
        names = [own["name"] for one in entries if one["source"] == ups for own in one["tiers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{decides}: is no file of the policy ({error}); apply playbooks/power.yml"
        raise InputError(message) from error
    seconds: list[float] = []
    runtimes: list[float] = []
    charges: list[float] = []
    for name in names:
        tier = policy.Config.read(decides, name)
        need, derate, capacity = tier.site.need, tier.site.derate, tier.known.capacity_seconds
        seconds += [] if tier.tier.after is None else [tier.tier.after]
        runtimes.append(need / derate)
        if capacity:
            seconds.append(capacity * derate - need)
            charges.append(100 * need / (capacity * derate))
    return Limits(
        min(seconds, default=None), max(runtimes, default=None), max(charges, default=None)
    )
