"""The file tree that the hosts of all worlds share: Debian 13 with its real NUT, read-only."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from releve.lab import images
from releve.lab.podman import podman

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def tree() -> Iterator[Path]:
    """Give the image's file tree; it is built first where the cache lacks it."""
    images.ensure(lambda line: print(line, file=sys.stderr), (images.NUT,))  # noqa: T201  # progress
    mounted = podman("image", "mount", images.NUT.reference).stdout.strip()
    try:
        yield Path(mounted)
    finally:
        podman("image", "umount", images.NUT.reference, check=False)
