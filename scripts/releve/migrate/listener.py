"""Ask a guest's witness without a pause, to know what it acknowledged last before it stopped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from releve import witness
from releve.blocks.journal import now

if TYPE_CHECKING:
    from types import TracebackType

    from releve.town.model import Guest

PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 2


class Listener:
    """Keeps the newest answer of a guest's witness, and when it came, while in `with`."""

    def __init__(self, guest: Guest) -> None:
        """Remember whom to ask; a guest without a witness is not asked."""
        self.newest: witness.Status | None = None
        self.at = now()
        self._end = threading.Event()
        self._address = address_of(guest)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        while self._address and not self._end.is_set():
            try:
                self.newest = witness.ask(*self._address, timeout=PATIENCE_SECONDS)
                self.at = now()
            except witness.WitnessError:
                self._end.wait(PAUSE_SECONDS)
            self._end.wait(PAUSE_SECONDS)

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ask no more."""
        self._end.set()
        self._thread.join(PAUSE_SECONDS)  # not for as long as one that is off keeps silent


def address_of(guest: Guest) -> tuple[str, int] | None:
    """Return where a guest's witness answers."""
    address = next((nic.address for nic in guest.nics if nic.address), None)
    if guest.witness is None or address is None:
        return None
    return str(address), guest.witness.port
