"""libvirtd is held by a line; whatever becomes of that line, libvirtd and its guest come back."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.unit.migrate.sources.loopback import hosts, missing

from releve.migrate.errors import MigrateError
from releve.migrate.hold import Hold
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="its sshd needs root"),
]
SILENCE = 2
SECONDS = 20
TOOL = """\
#!/bin/sh
echo "${{0##*/}} $*" >> {log}
case "$*" in *domstate*) echo 'shut off' ;; esac
"""


class Host:
    """An old host whose systemctl and virsh note what they are asked."""

    def __init__(self, folder: Path, ssh: Ssh) -> None:
        """Put both programs where a log-in finds them first."""
        self._folder, self._log = folder, folder / "log"
        # a connection of its own: a shared one would go on when its client is stopped
        options = ("-o", "ControlMaster=no", "-o", "ControlPath=none", *ssh.options)
        self.ssh = Ssh(ssh.host, ssh.address, ssh.user, options)
        tools = folder / "home" / "bin"
        tools.mkdir()
        for name in ("systemctl", "virsh"):
            (tools / name).write_text(TOOL.format(log=self._log))
            (tools / name).chmod(0o755)

    def hold(self) -> Hold:
        return Hold(self.ssh, "compta", "/nowhere", str(self._folder / "run"), SILENCE)

    def asked(self, word: str) -> bool:
        return word in (self._log.read_text() if self._log.exists() else "")

    def await_asked(self, word: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.asked(word):
            assert time.monotonic() < deadline, f"nobody asked {word!r}"
            time.sleep(0.05)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosts(tmp_path) as (old, _node, _known):
        yield Host(tmp_path, old)


def line_of(hold: Hold) -> int:
    process = hold._process  # what is killed here is its line
    assert process is not None
    return process.pid


def test_a_word_leaves_the_guest_off(host: Host) -> None:
    with host.hold() as hold:
        time.sleep(2 * SILENCE)  # long: that we live is said meanwhile
        assert not host.asked("systemctl start")
        hold.release("done")

    assert host.asked("systemctl start libvirtd.service")
    assert not host.asked("virsh -q start compta")


def test_a_line_that_dies_brings_libvirtd_and_guest_back(host: Host) -> None:
    hold = host.hold().__enter__()
    os.kill(line_of(hold), signal.SIGKILL)

    host.await_asked("systemctl start libvirtd.service")
    host.await_asked("virsh -q start compta")
    with pytest.raises(MigrateError):
        hold.release("done")


def test_a_line_that_falls_silent_brings_them_back_and_its_late_word_is_refused(
    host: Host,
) -> None:
    """As a cut cable does, or a workstation without power: nobody tells the old host."""
    hold = host.hold().__enter__()
    line = line_of(hold)
    os.kill(line, signal.SIGSTOP)
    host.await_asked("systemctl start libvirtd.service")
    host.await_asked("virsh -q start compta")
    os.kill(line, signal.SIGCONT)

    with pytest.raises(MigrateError, match=r"heard nothing of us for 2 s|line was cut|not answer"):
        hold.release("done")
