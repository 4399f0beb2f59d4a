"""A guest's work on its disk: `python3 guest.py URI SECONDS`, through the same QEMU that is read.

One request at a time, as a database: 4 KiB are written at a random place and flushed, 4 KiB are
read at another. Prints the milliseconds of each pair as a JSON list.
"""

from __future__ import annotations

import json
import random
import sys
import time

import nbd

PAGE = 4096


def main(uri: str, seconds: float) -> None:
    """Work for so long."""
    handle = nbd.NBD()
    handle.connect_uri(uri)
    chance = random.Random(1)  # noqa: S311  # not for secrets
    pages = handle.get_size() // PAGE
    data = chance.randbytes(PAGE)
    taken = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        handle.pwrite(data, chance.randrange(pages) * PAGE)
        handle.flush()
        handle.pread(PAGE, chance.randrange(pages) * PAGE)
        taken.append((time.monotonic() - start) * 1e3)
    handle.shutdown()
    print(json.dumps(taken))  # noqa: T201  # its output is what it is for


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
