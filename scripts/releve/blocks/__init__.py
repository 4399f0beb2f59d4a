"""The block mover: read a point in time of a disk over NBD, move what changed, prove it.

Standard library and libnbd only, and nothing else of `releve`: the package runs on nodes as one
zipapp, under the system's Python (3.11 or later) with Debian's `python3-libnbd`.
"""

from __future__ import annotations

import urllib.parse


def nbd_uri(socket: str, export: str) -> str:
    """Return the URI of an export behind a unix socket."""
    return f"nbd+unix:///{urllib.parse.quote(export, safe='')}?socket={urllib.parse.quote(socket)}"
