"""Pack the mover as one file that runs with the system's Python: `blocks.pyz`."""

from __future__ import annotations

from pathlib import Path

from releve.bundle import pack


def build() -> bytes:
    """Return the zipapp; the same code always gives the same bytes."""
    return pack(Path(__file__).parent)
