"""What lies on a guest's disk, read from outside: what keeps a Windows from starting elsewhere.

Made after the formats' descriptions and tried on inputs made for it; not tried on a real Windows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Windows:
    """A Windows as its disk shows it; None: that part could not be read."""

    hibernated: bool | None = None
    fast_startup: bool | None = None
    dirty: bool | None = None
    pending_updates: bool | None = None
    domain_controller: bool | None = None
    boot_drivers: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SystemDisk:
    """One disk: its partition table, what binds it to its machine, and a Windows on it."""

    disk: str
    table: str = ""
    dynamic: str = ""
    encrypted: str = ""
    windows: Windows | None = None
    error: str = ""
