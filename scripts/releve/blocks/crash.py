"""Named points at which a test lets the worker die: RELEVE_CRASH=NAME, or NAME:3 for the third.

The worker is killed as by the kernel: nothing is cleaned up, nothing is flushed.
"""

from __future__ import annotations

import itertools
import os
import signal

POINTS = (
    "manifest-made",  # by a seed that begins anew
    "marked",  # a delta found blocks that differ: they are unknown, not yet durably
    "intent",  # blocks about to change are durably unknown
    "written",  # one read was written to the target, nothing says so yet
    "punched",  # zeros were made on the target, nothing says so yet
    "synced",  # a checkpoint made the target durable
    "put",  # a checkpoint noted the blocks, not yet durably
    "noted",  # a checkpoint is durable, the journal does not say so
    "copied",  # all is copied and durable, the journal does not say so
)
_WANTED, _, _NTH = os.environ.get("RELEVE_CRASH", "").partition(":")
_COUNT = itertools.count(1)


def here(name: str) -> None:
    """Die, if the environment wants it at this point."""
    if name == _WANTED and next(_COUNT) == int(_NTH or 1):
        os.kill(os.getpid(), signal.SIGKILL)
