"""Who may need somebody's hands after a power cut.

Mains that come back while the site stops leave hosts off beside an output that never went away: a
UPS may ignore the command to cut, answer it and do nothing, or, on the network, never get it. The
UPS's host then boots by itself (POWEROFF_WAIT) and wakes the others, by their network card alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def needed_by(clients: Iterable[Mapping[str, Any]], record: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence where nothing but a person may bring clients back.

    A UPS whose cut was seen, with the mains present too, brings back all of them.
    """
    if record.get("cut") == "proven" and record.get("cuts_on_line"):
        return
    dark = [str(one["name"]) for one in clients if not one.get("mac") and not one.get("wake")]
    if dark:
        yield (
            f"{', '.join(dark)} may stay dark until somebody presses the button, when the mains"
            " come back while the site stops: give the mac, for Wake-on-LAN"
        )
