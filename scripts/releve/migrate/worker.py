"""The worker on the node: put its one file there, run its verbs, follow what it says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import queue
import shlex
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.blocks.bundle import build
from releve.migrate.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from releve.ssh import Ssh

PATH = "/usr/local/lib/releve/blocks.pyz"
STATE = "/var/lib/releve/migrate"
SILENCE_SECONDS = 120  # the worker gives up on a silent source after 60
_INSTALL = """\
set -e
echo '{digest}  {path}' | sha256sum -c --status 2>/dev/null && exit 0
install -d -m 0755 {folder}
base64 -d > {path}.part.$$
chmod 0755 {path}.part.$$
mv {path}.part.$$ {path}
"""


def install(node: Ssh) -> None:
    """Put the worker on the node, unless the same bytes are there."""
    data = build()
    line = _INSTALL.format(
        digest=hashlib.sha256(data).hexdigest(), path=PATH, folder=PATH.rpartition("/")[0]
    )
    node.run(line, stdin=base64.encodebytes(data).decode())


@dataclass(frozen=True, slots=True)
class Worker:
    """Runs verbs for one disk of one run on the node; `label` is run and epoch."""

    node: Ssh
    run: str
    label: str
    disk: str
    tell: Callable[[dict[str, Any]], None]

    def do(
        self, verb: str, feed: Iterable[bytes] | None = None, **options: str | bool
    ) -> dict[str, Any]:
        """Run a verb to its end and return its counts; raises WorkerError.

        `feed` are the lines of a list of hashes for `delta`. An empty option is left out.
        """
        words = ["exec", "/usr/bin/python3", PATH, verb]
        words += [f"--state={STATE}/{self.run}/{self.disk}", f"--run={self.label}"]
        words += [_option(key, value) for key, value in options.items() if value]
        words += [] if feed is None else ["--hashes=-"]
        argv = self.node.alone(shlex.join(words))
        entrance = subprocess.DEVNULL if feed is None else subprocess.PIPE
        with subprocess.Popen(argv, stdin=entrance, stdout=subprocess.PIPE, text=True) as process:
            if feed is not None:
                threading.Thread(target=_pour, args=(feed, process.stdin), daemon=True).start()
            try:
                last = self._follow(process, verb)
                code = process.wait(timeout=SILENCE_SECONDS)
            finally:
                process.kill()
        if last.get("event") == "done" and code == 0:
            return last
        if last.get("event") == "failed":
            message = f"{self.node.host}: {verb} of {self.disk}: {last['error']}"
            raise WorkerError(message, str(last["kind"]))
        message = (
            f"{self.node.host}: {verb} of {self.disk}: the worker was killed (exit {code});"
            " run again, it goes on from its last checkpoint"
        )
        raise WorkerError(message, "killed")

    def _follow(self, process: subprocess.Popen[str], verb: str) -> dict[str, Any]:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def pump() -> None:
            assert process.stdout is not None  # noqa: S101  # asked for by the caller
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        last: dict[str, Any] = {}
        while True:
            try:
                line = lines.get(timeout=SILENCE_SECONDS)
            except queue.Empty as error:
                message = f"{self.node.host}: {verb}: no word for {SILENCE_SECONDS} s; is it up?"
                raise WorkerError(message, "stall") from error
            if line is None:
                return last
            last = json.loads(line)
            if last["event"] == "progress":
                self.tell({"stage": verb, "disk": self.disk, **last})


def _option(key: str, value: str | bool) -> str:  # an option is one or the other
    word = f"--{key.replace('_', '-')}"
    return word if value is True else f"{word}={value}"


def _pour(feed: Iterable[bytes], entrance: IO[str] | None) -> None:
    """Give the worker its list; one that it does not take to the end, it has refused."""
    assert entrance is not None  # noqa: S101  # asked for by the caller
    with contextlib.suppress(BrokenPipeError), entrance:
        for line in feed:
            entrance.write(line.decode())
