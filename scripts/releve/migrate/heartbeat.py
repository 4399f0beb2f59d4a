"""Say over a line that we live, so that its other end goes on without us when we do not.

A cable that is cut, or a workstation without power, tells nobody: only silence is heard.
"""

from __future__ import annotations

import contextlib
import threading
from typing import IO

SILENCE_SECONDS = 30  # without a word for so long we do not live
BEATS = 6  # so often in that time we say that we do
# The other end's shell: `word` is what was said at last, `lost` after {silence} seconds of nothing.
LISTEN = """\
word=beat
while [ "$word" = beat ]; do
  word=$(timeout {silence} sh -c 'read -r word && echo "$word"') || word=lost
done
"""


class Heartbeat:
    """Words on a line until `stop`, which comes before any other word."""

    def __init__(self, line: IO[str], silence: float) -> None:
        """Begin; the other end listens for `silence` seconds."""
        self._line, self._pause = line, silence / BEATS
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever says the last word finds that too
            while not self._stopped.wait(self._pause):
                self._line.write("beat\n")
                self._line.flush()

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()
        self._thread.join()
