"""The return sweep: the mains come back at each half second of a shutdown.

Polls are NUT's defaults (5 s), and each host's are in another phase: that is where a site ended
half up, half dark.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tests.worlds.runner import Job
from tests.worlds.scenarios import GATEWAY, NAS, TOWN, end_of, mains, no_early_cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.worlds.runner import Result
    from tests.worlds.site import Mode, Site

    from releve.lab.ups.world import Behaviour

CUT = 2.0
STEP = 0.5
DECISION, OFF = 24.0, 60.0  # seconds; before the one, and after the output is off
HALTED = 44.0  # seconds; everybody has stopped by then, whenever the mains are back
AFTERWARDS = 55.0  # in which everybody comes back
KINDS: tuple[Behaviour, ...] = ("cyc", "ign")


def site_of(mode: Mode, behaviour: Behaviour) -> Site:
    """Return the town with NUT's own poll times, and upsmons out of step."""
    slow = {"pollfreq": 5, "pollfreqalert": 5, "finaldelay": 5}
    return dataclasses.replace(
        TOWN,
        mode=mode,
        behaviour=behaviour,
        capacity=90,
        measured=90,
        low_battery=15,
        # In mode policy the gateway goes alone, a moment before the site is decided.
        tiers=({"name": "edge", "hosts": ["gw"], "after_seconds": 23},),
        hosts=(
            TOWN.host("pve1"),
            dataclasses.replace(NAS, monitor_delay=1.5),
            dataclasses.replace(GATEWAY, monitor_delay=3.5),
        ),
        primary_variables={
            **{f"nut_primary_{name}": value for name, value in slow.items()},
            "nut_primary_driver_poll": 2,
            "nut_primary_hostsync": 15,
        },
        secondary_variables={f"nut_secondary_{name}": value for name, value in slow.items()},
    )


def jobs(mode: Mode) -> list[Job]:
    """Return the worlds of the sweep, both kinds of UPS at each moment."""
    moments = [DECISION + STEP * turn for turn in range(round((OFF - DECISION) / STEP) + 1)]
    return [
        Job(
            f"sweep/{mode}-{kind}-{back:.1f}",
            site_of(mode, kind),
            mains(CUT, back),
            max(back, HALTED) + AFTERWARDS,
        )
        for back in moments
        for kind in KINDS
    ]


def bad(results: Iterable[Result]) -> list[str]:
    """Return a sentence for each world that did not end clean, whole, and with all back."""
    found = []
    for result in results:
        if result.outcome is None:
            found.append(f"{result.name}: refused: {result.refused}")
            continue
        seen, early = end_of(result.outcome), no_early_cut(result.outcome)
        if seen in {"cut", "dark"} or early:
            words = f"unclean: {result.outcome.unclean}, dark: {result.outcome.dark}, {early}"
            found.append(f"{result.name}: {seen}; {words}")
    return found
