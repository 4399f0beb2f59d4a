"""What a shutdown takes, step by step: of the UPS's host, and of its clients beside it.

Standard library only. All times are seconds; the worst case unless `expected` stands there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from releve.power.stops import LAST_ACT, PLAIN, TOOLS, Guest, Span, guest_of, seconds, spans

if TYPE_CHECKING:
    from releve.power.budget import Settings

# upsmon looks at the logins four times a second and leaves when more than HOSTSYNC whole seconds
# have gone by (sync_secondaries in upsmon.c); 16.1 s were measured at HOSTSYNC 15.
SYNC_LOOK = 2
NOTICE = 5  # seconds until a client without a login has seen that the site goes down
HUNG_MOUNT = 30  # seconds that the unmounting of a share takes whose server is gone


def timeline(one: Settings, *, expected: bool) -> list[Span]:
    """Return each step and guest with its begin and end, in seconds from the trigger on."""
    laid: list[Span] = []
    clock = 0
    for name, taken in steps_of(one, expected=expected):
        if name == "guests":
            begin = clock + _tools(guests_of(one.guests))
            laid.extend(
                Span(span.name, begin + span.begin, begin + span.end)
                for span in spans(guests_of(one.guests), one.workers, expected=expected)
            )
        elif taken:
            laid.append(Span(name, clock, clock + taken))
        clock += taken
    for client in one.clients:
        begin = seen(one, expected=expected)
        laid.append(Span(str(client["name"]), begin, _client_end(one, client, expected=expected)))
    return laid


def steps_of(one: Settings, *, expected: bool) -> list[tuple[str, int]]:
    """Return what the primary does, one step after the other: upsd stays for who has logged in."""
    guests = guests_of(one.guests)
    hosts = one.stop_seconds
    if expected and one.stop_measured is not None:
        hosts = min(hosts, math.ceil(one.stop_measured))
    serves = any(client.get("serves") for client in one.clients)
    steps = [
        ("seeing it", seen(one, expected=expected)),
        ("waiting for the clients", _wait(one, expected=expected)),
        ("final delay", one.finaldelay),
        ("ending backups", _abort(one, None, guests, expected=expected)),
        ("guests", _tools(guests) + seconds(guests, one.workers, expected=expected)),
        ("shares whose server is gone", HUNG_MOUNT if serves and not expected else 0),
    ]
    steps.append(("clients that still stop", _still(one, steps, expected=expected, logs_in=True)))
    steps.append(("the host itself", hosts))
    last = _still(one, steps, expected=expected, logs_in=False)
    return [*steps, ("the slowest client after it", last)]


def _still(one: Settings, steps: list[tuple[str, int]], *, expected: bool, logs_in: bool) -> int:
    """Return how much longer than these steps clients go on."""
    done = sum(taken for _name, taken in steps)
    ends = [
        _client_end(one, client, expected=expected)
        for client in one.clients
        if client.get("logs_in", True) == logs_in
    ]
    return max(0, math.ceil(max(ends, default=0)) - done)


def seen(one: Settings, *, expected: bool) -> int:
    """Return from the trigger until upsmon has seen it: each look takes its whole period."""
    worst = one.driver_poll + look(one)
    return math.ceil(worst / 2) if expected else worst


def look(one: Settings) -> int:
    """Return the longest between two looks of an upsmon that has not seen "on battery" yet."""
    return max(one.pollfreq, one.pollfreqalert)


def _wait(one: Settings, *, expected: bool) -> int:
    """Return how long the primary waits for logins to go: one dead client costs all of it."""
    clients = logged_in(one)
    if not clients:
        return 0
    if not expected:
        return one.hostsync + SYNC_LOOK
    held = max(held_of(one, client, expected=True) for client in clients)
    return min(one.hostsync + SYNC_LOOK, math.ceil(one.pollfreqalert + held))


def logged_in(one: Settings) -> list[dict[str, Any]]:
    """Return the clients that log in: the others nobody waits for."""
    return [client for client in one.clients if client.get("logs_in", True)]


def held_of(one: Settings, client: dict[str, Any], *, expected: bool) -> float:
    """Return how long a client stays logged in once it has seen the shutdown."""
    guests = guests_of(client.get("guests") or [])
    if not guests:
        return one.finaldelay
    workers = int(client.get("workers", 1))
    ending = _abort(one, client.get("abort_seconds"), guests, expected=expected)
    return one.finaldelay + ending + _tools(guests) + seconds(guests, workers, expected=expected)


def _abort(one: Settings, own: int | None, guests: list[Guest], *, expected: bool) -> int:
    """Return what the end of backups takes, on a client by its own limit; none is expected."""
    if expected or not _tools(guests):
        return 0
    return max(LAST_ACT, int(one.abort_seconds if own is None else own))


def _tools(guests: list[Guest]) -> int:
    """Return what Proxmox VE's own programs take to begin; 0 when it stops nobody."""
    return TOOLS if any(guest.kind != PLAIN for guest in guests) else 0


def _client_end(one: Settings, client: dict[str, Any], *, expected: bool) -> float:
    """Return when a client is down, from the trigger on."""
    begin = seen(one, expected=expected)
    if not client.get("logs_in", True):
        return begin + int(client.get("notice_seconds", NOTICE)) + int(client["stop_seconds"])
    return begin + heard_end(one, client, expected=expected)


def heard_end(one: Settings, client: dict[str, Any], *, expected: bool) -> float:
    """Return when a client that logs in is down, from when it could hear of the shutdown on."""
    return look(one) + held_of(one, client, expected=expected) + int(client["stop_seconds"])


def guests_of(entries: list[dict[str, Any]]) -> list[Guest]:
    """Return guests from the JSON of the settings; raises as `stops.guest_of`."""
    return [guest_of(entry) for entry in entries]
