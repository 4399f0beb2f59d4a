"""What the stage hears: the private /dev/log, and what the daemons print; with the times."""

from __future__ import annotations

import os
import re
import selectors
import socket
import time
from dataclasses import dataclass
from typing import IO

SYSLOG = "/dev/log"
_SYSLOG_LINE = re.compile(
    r"<\d+>(?:\w{3} +\d+ [\d:]{8} )?(?P<tag>[^\s:\[]+)(?:\[\d+\])?: ?(?P<text>.*)"
)
_OWN_STAMP = re.compile(r"^ *\d+\.\d+\s+")  # NUT's own, where it is set to debug

# (who says it, what, kind): `what` is searched; the first that fits counts. The words are those of
# NUT 2.8's upsmon.c, upsclient.c, upssched.c and upsd's netset.c; shadow-* are the recorders. Which
# daemon says a line does not tell who wrote it: what upssched prints comes through upsmon.
RECORDERS = "shadow-"
WORDS = tuple(
    (tag, re.compile(words), kind)
    for tag, words, kind in (
        ("shadow-notify", r"^ONBATT\b", "notified"),
        ("shadow-notify", r"^ONLINE\b", "told-online"),
        ("shadow-notify", r".", "told"),
        ("shadow-script", r".", "script"),
        ("shadow-shutdown", r".", "shutdown"),
        ("", r"^Connected to NUT server \S+ in SSL$", "secured"),
        ("", r"^UPS \S+ on battery$", "on-battery"),
        ("", r"^UPS \S+ on line power$", "on-line"),
        ("", r"^UPS \S+ battery is low$", "low-battery"),
        ("", r"^UPS \S+: forced shutdown in progress$", "forced"),
        ("", r"\bset FSD on UPS\b", "fsd"),
        ("", r"^Executing automatic power-fail shutdown$", "decided"),
        ("", r"^Auto logout and shutdown proceeding$", "proceeding"),
        ("", r"^New timer: ", "timer-started"),
        ("", r"^Cancelling timer: ", "timer-cancelled"),
        ("", r"^Event: ", "timer-over"),
    )
)
SAME_SECONDS = 1.0  # within which a line that is printed and logged is one


@dataclass(frozen=True, slots=True)
class Heard:
    """One line: when (Unix time), who said it, what."""

    at: float
    tag: str
    text: str

    @property
    def kind(self) -> str:
        """What it means for the drill; nothing for the many lines that mean nothing."""
        speaker = self.tag if self.tag.startswith(RECORDERS) else ""
        for tag, words, kind in WORDS:
            if tag == speaker and words.search(self.text):
                return kind
        return ""


def of_syslog(data: bytes, at: float) -> Heard | None:
    """Return a datagram of /dev/log as what was heard."""
    found = _SYSLOG_LINE.match(data.decode(errors="replace").rstrip("\0\n"))
    return Heard(at, found["tag"], found["text"].strip()) if found else None


class Ears:
    """Listens to all of it at once."""

    def __init__(self) -> None:
        """Open the private /dev/log to everybody in the room."""
        self.lines: list[Heard] = []
        self._selector = selectors.DefaultSelector()
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(SYSLOG)
        os.chmod(SYSLOG, 0o666)  # noqa: PTH101, S103  # as the journal's own is
        log.setblocking(False)
        self._selector.register(log, selectors.EVENT_READ, None)

    def listen_to(self, stream: IO[bytes], tag: str) -> None:
        """Take what a daemon prints as said by `tag`."""
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, selectors.EVENT_READ, tag)

    def hear(self, seconds: float) -> None:
        """Wait at most so long for something to be said, and keep it."""
        for key, _events in self._selector.select(seconds):
            at = time.time()
            if key.data is None:
                self._hear_log(key.fileobj, at)
                continue
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fileobj)
            for line in data.decode(errors="replace").splitlines():
                text = _OWN_STAMP.sub("", line).strip()
                self._keep(Heard(at, key.data, text))

    def _hear_log(self, log: object, at: float) -> None:
        assert isinstance(log, socket.socket)  # noqa: S101  # the only one without a tag
        while True:
            try:
                data = log.recv(65536)
            except BlockingIOError:
                return
            if heard := of_syslog(data, at):
                self._keep(heard)

    def _keep(self, heard: Heard) -> None:
        """Keep a line, unless the other way of the same daemon has just brought it."""
        for earlier in reversed(self.lines):
            if heard.at - earlier.at > SAME_SECONDS:
                break
            if earlier.text == heard.text and not heard.tag.startswith(RECORDERS):
                return
        if heard.text:
            self.lines.append(heard)
