"""What a battery lacks, and what would mend it, in one sentence; standard library only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from releve.power.stops import guest_of

if TYPE_CHECKING:
    from releve.power.budget import Settings


class Lack(NamedTuple):
    """The numbers of a budget that does not hold, as `Budget` has them.

    `share`: of the measured time that is left once other supplies have failed.
    """

    need: int
    trigger: int
    usable: int
    derate: float
    capacity: int | None
    share: float = 1.0


def too_small(one: Settings, lack: Lack) -> str:
    """Return why the shutdown does not fit, with the numbers and the remedy."""
    wanted = lack.trigger + one.ride_through_seconds
    slowest = sorted(map(guest_of, one.guests), key=lambda guest: -guest.limit)[:3]
    names = ", ".join(f"{guest.name} {guest.limit} s" for guest in slowest)
    less = math.ceil((wanted - lack.usable) / one.margin)
    measured = f"{lack.capacity} s measured x {lack.derate:g}"
    so = ""
    if lack.capacity != one.capacity_seconds:
        so = ", in the same way"
        measured = (
            f"{lack.capacity} s x {lack.derate:g}: its {one.capacity_seconds} s were measured while"
            f" {one.supplies} supplies shared the load; if it carried all of it then, say"
            " measured_alone: true"
        )
    return (
        f"the shutdown needs {lack.need} s (x {one.margin:g} = {lack.trigger} s) after"
        f" {one.ride_through_seconds} s of waiting for the mains, together {wanted} s; the"
        f" battery carries {lack.usable} s ({measured}):"
        f" lower stop_seconds ({names or 'of the hosts'}) by {less} s in all,"
        f" or fit a battery that is measured at {_enough(wanted, lack)} s{so}"
    )


def _enough(wanted: int, lack: Lack) -> int:
    """Return the least measured time of which so many seconds are counted on."""
    seconds = math.floor(wanted / lack.derate / lack.share)
    while math.floor(math.floor(seconds * lack.share) * lack.derate) < wanted:
        seconds += 1 + (seconds >> 50)  # a float knows no single seconds beyond that
    return seconds
