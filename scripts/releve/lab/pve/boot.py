"""Start guests when the host has started, in order; stop them before it halts, in reverse."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING

from . import guestfile
from .machines import Machines
from .refusal import Refusal

if TYPE_CHECKING:
    from .place import Place

LAST = 2**31
logger = logging.getLogger(__name__)


def startall(place: Place) -> int:
    """Start the guests that start at boot; return how many did not."""
    machines = Machines(place)
    failed = 0
    for vmid in _ordered(place, guestfile.listed(place)):
        config = guestfile.read(place, vmid)
        if config.get("onboot") != "1" or machines.pid(vmid) is not None:
            continue
        try:
            machines.start(vmid)
        except Refusal as refusal:
            failed += 1
            logger.error("Starting VM %s failed: %s", vmid, refusal.message)
            continue
        logger.info("Started VM %s", vmid)
        time.sleep(guestfile.startup(config)[1])
    return failed


def stopall(place: Place) -> int:
    """Stop all running guests, last started first; return how many had to be cut off.

    Guests of the same order stop side by side; each gets its own time, then its power is cut.
    """
    machines = Machines(place)
    running = [vmid for vmid in guestfile.listed(place) if machines.pid(vmid) is not None]
    cut: list[int] = []
    backwards = _ordered(place, running)[::-1]
    for _order, group in itertools.groupby(backwards, key=lambda vmid: _order_of(place, vmid)):
        threads = [threading.Thread(target=_stop, args=(machines, vmid, cut)) for vmid in group]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(cut)


def _stop(machines: Machines, vmid: int, cut: list[int]) -> None:
    seconds = guestfile.startup(guestfile.read(machines.place, vmid))[2]
    logger.info("Stopping VM %s (timeout = %s seconds)", vmid, seconds)
    try:
        machines.shutdown(vmid, seconds, force=False)
        logger.info("VM %s stopped", vmid)
    except Refusal as refusal:
        cut.append(vmid)
        logger.error("VM %s: %s; its power is cut", vmid, refusal.message)
        machines.stop(vmid)


def _order_of(place: Place, vmid: int) -> int:
    order = guestfile.startup(guestfile.read(place, vmid))[0]
    return LAST if order is None else order


def _ordered(place: Place, vmids: list[int]) -> list[int]:
    return sorted(vmids, key=lambda vmid: (_order_of(place, vmid), vmid))
