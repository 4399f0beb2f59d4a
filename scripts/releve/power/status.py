"""What the words of `ups.status` mean for whoever hangs on that UPS. Standard library only.

Two questions, and they differ: a UPS whose output is off (OFF) has mains and feeds nobody. upsmon
2.8.1 counts it as dead after OFFDURATION, 30 s (clients/upsmon.c, is_ups_critical). The scripts
that ask in a shell, boot-gate and power-timer, hold to `supplies` by a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

ON_LINE = frozenset({"OL", "TRIM", "BOOST"})  # some drivers say the latter two alone


def on_line(status: AbstractSet[str]) -> bool:
    """Tell whether it says that the mains are there; OL and OB at once is no word."""
    return bool(ON_LINE & status) and "OB" not in status


def supplies(status: AbstractSet[str]) -> bool:
    """Tell whether it feeds what hangs on it, by the mains, and goes on doing so."""
    return on_line(status) and not {"FSD", "OFF"} & status
