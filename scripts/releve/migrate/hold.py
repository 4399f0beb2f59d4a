"""Hold libvirtd still while a guest powers off, so that its QEMU and its bitmap outlive it.

libvirt ends QEMU as soon as the guest has stopped, and what the bitmap holds is lost. So libvirtd
is stopped for the last delta, and QEMU's own monitor is used, forwarded to here. A shell on the
old host waits on our line: whatever ends it (our word, our death, or a silence, as of a cut cable
or a workstation without power), libvirtd comes back, and unless the word was `done` a guest that
is off is started again.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from releve.blocks.qmp import Qmp
from releve.migrate.errors import MigrateError
from releve.migrate.heartbeat import LISTEN, SILENCE_SECONDS, Heartbeat

if TYPE_CHECKING:
    from types import TracebackType

    from releve.ssh import Ssh

UNITS = "libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service"
ANSWER_SECONDS = 60
WATCH_SECONDS = 90  # a guest that got the power button may still go off after we gave up
_HOLD = (
    """\
trap '' PIPE HUP
mkdir -p {folder}
echo {token} > {folder}/hold
systemctl stop {units} && echo held
"""
    + LISTEN
    + """\
for unit in {units}; do systemctl start $unit; done
until virsh -q list >/dev/null 2>&1; do sleep 0.2; done
echo "back $word"
[ "$word" = done ] && exit 0
exec </dev/null >/dev/null 2>&1
i=0
while [ $i -lt {watch} ] && [ "$(cat {folder}/hold)" = {token} ]; do
  case $(LC_ALL=C virsh -q domstate {name}) in
  'shut off' | crashed) virsh -q start {name} && exit 0 ;;
  'in shutdown') virsh -q destroy {name} ;;
  esac
  i=$((i + 1))
  sleep 1
done
"""
)


class Hold:
    """libvirtd of a host, stopped from `with` to its end; `monitor()` speaks to QEMU meanwhile."""

    def __init__(
        self, ssh: Ssh, name: str, monitor: str, folder: str, silence: int = SILENCE_SECONDS
    ) -> None:
        """`monitor` is QEMU's socket on the host, `folder` one in its /run for this run.

        After `silence` seconds without a word of ours the host goes on without us.
        """
        self._ssh, self._silence = ssh, silence
        self._temporary = tempfile.TemporaryDirectory(prefix="releve-")
        self._socket = Path(self._temporary.name) / "monitor"
        forward = ("-o", "ExitOnForwardFailure=yes", "-L", f"{self._socket}:{monitor}")
        script = _HOLD.format(
            folder=folder,
            token=secrets.token_hex(4),
            units=UNITS,
            silence=silence,
            watch=WATCH_SECONDS,
            name=shlex.quote(name),
        )
        words = ssh.alone(script)
        self._argv = [words[0], *forward, *words[1:]]
        self._process: subprocess.Popen[str] | None = None
        self._heartbeat: Heartbeat | None = None

    def __enter__(self) -> Self:
        """Stop libvirtd; raises MigrateError when the host does not say so."""
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._await("held")
        assert self._process.stdin is not None  # noqa: S101  # asked for above
        self._heartbeat = Heartbeat(self._process.stdin, self._silence)
        return self

    def monitor(self) -> Qmp:
        """Return a connection to QEMU's own monitor."""
        return Qmp(str(self._socket))

    def release(self, word: str) -> None:
        """Let libvirtd come back; `done` leaves the guest off, anything else starts it again."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._heartbeat is not None:
            self._heartbeat.stop()
        try:
            assert process.stdin is not None  # noqa: S101  # asked for above
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            said = self._wait(process, "back")
            if word == "done" and said != "back done":
                message = (
                    f"{self._ssh.host}: it heard nothing of us for {self._silence} s; libvirtd"
                    " came back there, and the guest with it"
                )
                raise MigrateError(message)
        except BrokenPipeError as error:
            message = f"{self._ssh.host}: the line was cut; libvirtd there comes back by itself"
            raise MigrateError(message) from error
        finally:
            process.kill()
            process.wait()
            self._temporary.cleanup()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Bring libvirtd back, and the guest with it, unless `release` was called before."""
        self.release("abort")

    def _await(self, word: str) -> None:
        assert self._process is not None  # noqa: S101  # set by the caller
        try:
            self._wait(self._process, word)
        except MigrateError:
            self._process.kill()
            self._process = None
            raise

    def _wait(self, process: subprocess.Popen[str], word: str) -> str:
        assert process.stdout is not None  # noqa: S101  # asked for above
        timer = threading.Timer(ANSWER_SECONDS, process.kill)
        timer.start()
        try:
            said = process.stdout.readline().strip()
        finally:
            timer.cancel()
        if said.partition(" ")[0] != word:
            message = f"{self._ssh.host}: libvirtd did not answer {word!r} (it said {said!r})"
            raise MigrateError(message)
        return said
