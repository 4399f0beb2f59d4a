"""A command beside a loop that cannot wait for it: asked how it ended, killed when it hangs.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Errand:
    """One run of a command, from its start on."""

    def __init__(self, words: Sequence[str], seconds: float) -> None:
        """Start it; after so many seconds it is over, whatever it does. Raises OSError."""
        # A session of its own, so that what it has started ends with it.
        self._child = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        self._seconds, self._until = seconds, time.monotonic() + seconds

    def fault(self) -> str | None:
        """Return what went wrong, nothing when it has ended well; None: it still runs."""
        code = self._child.poll()
        if code is not None:
            return f"it ended with code {code}" if code else ""
        if time.monotonic() < self._until:
            return None
        # Not waited for: one that hangs in the kernel ends when it likes.
        with contextlib.suppress(OSError):
            os.killpg(self._child.pid, signal.SIGKILL)
        return f"it was killed, since it had not ended after {self._seconds:g} s"
