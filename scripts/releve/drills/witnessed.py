"""Ask the witness of a guest of the town what a drill has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.witness import Record, record

if TYPE_CHECKING:
    from releve.town.model import Guest

WITNESS_SECONDS = 150.0  # within which a guest has to answer after a start


def door(guest: Guest) -> tuple[str, int]:
    """Return where a guest's witness is asked; raises InputError when it has none."""
    address = next((str(nic.address) for nic in guest.nics if nic.address), None)
    if address is None or guest.witness is None:
        message = f"guest {guest.vmid} has no witness with an address"
        raise InputError(message)
    return address, guest.witness.port


def last_before(guest: Guest, low: int, high: int, moment: float) -> Record | None:
    """Return the guest's newest record of before `moment` (Unix, ms), between two numbers.

    Records are in the order of time, so halving finds it in a dozen questions.
    """
    found: Record | None = None
    while low <= high:
        middle = (low + high) // 2
        one = record(*door(guest), middle)
        if one is None or one.ms >= moment:
            high = middle - 1
        else:
            found, low = one, middle + 1
    return found
