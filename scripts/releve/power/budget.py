"""What an ordered shutdown needs against what the battery carries; standard library only.

Reads the settings as JSON on stdin and prints the budget as JSON: steps, need, thresholds, faults.
All times are whole seconds in the worst case, rounded up.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

PVE_POLL = 1  # Proxmox VE looks once a second whether a group of guests has stopped


@dataclass(frozen=True)
class Settings:
    """What the budget is made of; `capacity_seconds` was measured at the load of the site.

    Without a measured capacity the UPS is being commissioned: the shutdown then starts after
    `commissioning_seconds` on battery.
    """

    capacity_seconds: int | None
    derate: float
    margin: float
    ride_through_seconds: int
    driver_poll: int
    pollfreq: int
    pollfreqalert: int
    hostsync: int
    finaldelay: int
    offdelay: int
    ondelay: int
    stop_seconds: int
    workers: int
    guests: list[dict[str, Any]]
    clients: list[dict[str, Any]]
    commissioning_seconds: int = 60


@dataclass(frozen=True)
class Budget:
    """The worst case of a shutdown, and where each trigger has to stand for it.

    `need` is from the trigger to the halt of the primary, `trigger` the same with the margin.
    `timer` is the time on battery after which the shutdown starts at the latest; `runtime_low`
    (seconds) and `charge_low` (percent) are the same moment as the UPS counts it; they are None
    while the UPS is being commissioned, since nothing is known to reckon with.
    """

    capacity: int | None
    steps: list[tuple[str, int]]
    need: int
    trigger: int
    timer: int
    runtime_low: int | None
    charge_low: int | None
    faults: list[str]


def guests_seconds(guests: list[dict[str, Any]], workers: int) -> int:
    """Return how long Proxmox VE takes to stop the guests when each takes all of its time.

    Highest order first; inside one order `workers` at once; hard stop after `stop_seconds`.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for guest in guests:
        groups[int(guest["order"])].append(int(guest["stop_seconds"]))
    return sum(_longest_slot(times, workers) + PVE_POLL for times in groups.values())


def _longest_slot(times: list[int], workers: int) -> int:
    slots = [0] * max(1, workers)
    for time in times:
        slots.sort()
        slots[0] += time
    return max(slots)


def budget_of(one: Settings) -> Budget:
    """Return the budget; it holds when `faults` is empty."""
    steps = [
        ("seeing it", one.driver_poll + max(one.pollfreq, one.pollfreqalert)),
        ("waiting for the clients", one.hostsync if one.clients else 0),
        ("final delay", one.finaldelay),
        ("guests", guests_seconds(one.guests, one.workers)),
        ("the host itself", one.stop_seconds),
    ]
    need = sum(seconds for _name, seconds in steps)
    trigger = math.ceil(need * one.margin)
    usable = None
    if one.capacity_seconds is not None:
        usable = math.floor(one.capacity_seconds * one.derate)
    return Budget(
        capacity=one.capacity_seconds,
        steps=steps,
        need=need,
        trigger=trigger,
        timer=one.commissioning_seconds if usable is None else max(0, usable - trigger),
        runtime_low=None if usable is None else math.ceil(trigger / one.derate),
        charge_low=None if usable is None else min(99, math.ceil(100 * trigger / usable)),
        faults=list(_faults(one, need, trigger, usable)),
    )


def _faults(one: Settings, need: int, trigger: int, usable: int | None) -> list[str]:
    """Return one sentence for each reason why this cannot be deployed."""
    faults = []
    wanted = trigger + one.ride_through_seconds
    if usable is not None and usable < wanted:
        slowest = sorted(one.guests, key=lambda guest: -int(guest["stop_seconds"]))[:3]
        names = ", ".join(f"{guest['name']} {guest['stop_seconds']} s" for guest in slowest)
        faults.append(
            f"the shutdown needs {need} s (x {one.margin:g} = {trigger} s) after "
            f"{one.ride_through_seconds} s of waiting for the mains, together {wanted} s; the "
            f"battery carries {usable} s ({one.capacity_seconds} s measured x {one.derate:g}): "
            f"lower stop_seconds ({names or 'no guests'}) or fit a bigger battery"
        )
    for client in one.clients:
        # A client logs out when its shutdown starts; from then on only these delays wait for it.
        left = one.finaldelay + one.offdelay
        if int(client["stop_seconds"]) > left:
            faults.append(
                f"{client['name']} needs {client['stop_seconds']} s to stop, the output may go off "
                f"{left} s after it has begun: raise offdelay by "
                f"{int(client['stop_seconds']) - left} s"
            )
    if one.ondelay <= one.offdelay:
        faults.append(f"ondelay {one.ondelay} s must be more than offdelay {one.offdelay} s")
    return faults


def main(_arguments: list[str]) -> int:
    """Read the settings on stdin, print the budget."""
    json.dump(asdict(budget_of(Settings(**json.load(sys.stdin)))), sys.stdout)
    return 0
