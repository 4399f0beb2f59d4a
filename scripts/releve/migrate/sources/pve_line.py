"""One log-in at an old Proxmox VE host: a guest's monitor, and qmeventd held for its last delta.

The monitor (VMID.qmp) takes one client at a time, and everything of PVE's waits for it: each
command is a connection of its own. qmeventd ends a QEMU whose guest has powered off, unless
somebody says that it is being backed up, as vzdump does; that lasts as long as the connection. A
shell on the old host listens to our line: when it ends or falls silent in that time, the shell ends
the log-in, and so the connection, and starts the guest again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.blocks.qmp import Qmp
from releve.migrate.errors import MigrateError
from releve.migrate.heartbeat import LISTEN, SILENCE_SECONDS, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.ssh import Ssh

RUN = "/var/run/qemu-server"
EVENTS = "/var/run/qmeventd.sock"
ANSWER_SECONDS = 5  # a monitor that is free answers at once
PATIENCE_SECONDS = 60  # for somebody else who has it
WATCH_SECONDS = 120
_WATCH = (
    """\
trap '' PIPE HUP
echo ready
read -r word || exit 0
[ "$word" = hold ] || exit 0
install -d -m 0700 {folder}
echo {token} > {folder}/hold
echo held
"""
    + LISTEN
    + """\
[ "$word" = done ] && exit 0
# A silent line still forwards the socket that holds qmeventd: it ends with its log-in.
read -r _ _ _ parent _ < /proc/$$/stat
[ "$word" != lost ] || [ "$parent" = 1 ] || kill "$parent"
exec </dev/null >/dev/null 2>&1
i=0
while [ $i -lt {watch} ] && [ "$(cat {folder}/hold)" = {token} ]; do
  case $(qm status {vmid}) in
  *stopped) qm start {vmid} && exit 0 ;;
  esac
  i=$((i + 1))
  sleep 1
done
"""
)


class PveLine:
    """See the module; `execute` makes it a `Monitor`. It opens itself when it is needed."""

    def __init__(
        self,
        ssh: Ssh,
        vmid: str,
        folder: str,
        *,
        run: str = RUN,
        events: str = EVENTS,
        silence: int = SILENCE_SECONDS,
    ) -> None:
        """`folder` is the run's in /run on the old host; `run` and `events` are PVE's places.

        After `silence` seconds without a word of ours the host goes on without us.
        """
        self._ssh, self._vmid, self._folder, self._silence = ssh, vmid, folder, silence
        self._places = (f"{run}/{vmid}.qmp", events)
        self._process: subprocess.Popen[str] | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._held: socket.socket | None = None
        self._heartbeat: Heartbeat | None = None

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON
        """Run one command on a connection of its own; raises MonitorError."""
        with self._qmp() as qmp:
            return qmp.execute(command, **arguments)

    @contextlib.contextmanager
    def _qmp(self) -> Iterator[Qmp]:
        path = str(self._open() / "qmp")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                qmp = Qmp(path, ANSWER_SECONDS)
                break
            except MonitorError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        with qmp:
            yield qmp

    def hold(self) -> None:
        """Let QEMU outlive its guest, until `let_go`; raises MigrateError."""
        folder = self._open()
        self._say("hold", "held")
        assert self._process is not None  # noqa: S101  # it has just answered
        assert self._process.stdin is not None  # noqa: S101  # asked for when it was opened
        self._heartbeat = Heartbeat(self._process.stdin, self._silence)
        self._held = socket.socket(socket.AF_UNIX)
        try:
            self._held.connect(str(folder / "events"))
            self._held.sendall(json.dumps({"vzdump": {"vmid": self._vmid}}).encode())
        except OSError as error:
            self.let_go("abort")
            message = f"{self._ssh.host}: qmeventd does not answer ({error}); is it up?"
            raise MigrateError(message) from error

    @property
    def held(self) -> bool:
        """Whether QEMU outlives its guest now."""
        return self._held is not None

    def let_go(self, word: str) -> None:
        """Let qmeventd end QEMU; `done` leaves the guest off, else its host starts it again."""
        held, self._held = self._held, None
        process, self._process = self._process, None
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(f"{word}\n")
                process.stdin.flush()
        if held is not None:
            held.close()
        if process is not None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                stack.callback(process.wait)
                stack.callback(process.kill)
                if process.stdin is not None:
                    process.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _open(self) -> Path:
        if self._process is not None and self._process.poll() is None and self._temporary:
            return Path(self._temporary.name)
        if self._held is not None:
            message = f"{self._ssh.host}: the line was cut; it starts the guest again by itself"
            raise MigrateError(message)
        self._temporary = tempfile.TemporaryDirectory(prefix="releve-")
        folder = Path(self._temporary.name)
        words = self._ssh.alone(
            _WATCH.format(
                folder=self._folder,
                token=secrets.token_hex(4),
                silence=self._silence,
                watch=WATCH_SECONDS,
                vmid=self._vmid,
            )
        )
        forwards = ["-o", "ExitOnForwardFailure=yes"]
        for name, place in zip(("qmp", "events"), self._places, strict=True):
            forwards += ["-L", f"{folder / name}:{place}"]
        self._process = subprocess.Popen(
            [words[0], *forwards, *words[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say("", "ready")
        return folder

    def _say(self, word: str, answer: str) -> None:
        process = self._process
        assert process is not None  # noqa: S101  # opened by the caller
        assert process.stdin is not None  # noqa: S101  # asked for when it was opened
        assert process.stdout is not None  # noqa: S101  # as above
        if word:
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        said = process.stdout.readline().strip()
        if said != answer:
            message = f"{self._ssh.host}: no answer {answer!r} over ssh (it said {said!r})"
            raise MigrateError(message)
