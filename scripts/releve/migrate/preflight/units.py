"""Sizes and times as a plan says them."""

from __future__ import annotations

MIB = 1 << 20
STEP = 1024
MINUTE, HOUR = 60, 3600


def mib(size_bytes: int) -> int:
    """Return whole MiB, rounded up, as the town file counts."""
    return -(-size_bytes // MIB)


def size(size_bytes: float) -> str:
    """Return a size such as `16 MiB` or `1.5 TiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < STEP:
            return f"{size_bytes:.3g} {unit}" if size_bytes < 100 else f"{size_bytes:.0f} {unit}"  # noqa: PLR2004
        size_bytes /= STEP
    return f"{size_bytes:.3g} TiB"


def span(seconds: float) -> str:
    """Return a time such as `3 s`, `2 min 5 s` or `1 h 20 min`."""
    whole = round(seconds)
    if whole < 2 * MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
