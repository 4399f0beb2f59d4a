"""A host with NUT, as a drill asks it: over ssh, at the host itself.

Its upsd answers those alone whom it guards, and the workstation is none of them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from releve import power
from releve.bundle import pack
from releve.command import CommandError
from releve.drills.evidence import now
from releve.errors import CheckError, ExitCode
from releve.power.look import UpsSeen
from releve.power.measure import Reading, own_status
from releve.power.readings import read
from releve.power.upsd import NoAnswerError
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from releve.drills.evidence import Evidence
    from releve.town.model import Town

PROGRAM = "/usr/local/lib/releve/power.pyz"  # where role nut_primary puts it
LOOK_SECONDS = 10
# Runs a zipapp that comes by stdin without leaving a file: it lies in memory, and the programs
# that it starts find it by the same descriptor.
_CARRIED = """\
import base64, os, runpy, sys
descriptor = os.memfd_create("power", 0)
with os.fdopen(descriptor, "wb", closefd=False) as file:
    file.write(base64.b64decode(sys.stdin.buffer.read()))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.argv[0] = f"/proc/self/fd/{descriptor}"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: when its answer arrived (here, UTC, and by the steady clock), and what it said."""

    at: str
    steady: float
    seen: UpsSeen | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class UpsHost:
    """The host; `ssh` leads there, as root.

    `followed`: what monitors follow in place of the UPS, in mode policy (see `look`).
    """

    ssh: Ssh
    followed: tuple[str, ...] = ()

    @classmethod
    def of(cls, town: Town, ups: str) -> Self:
        """Return the host that has the cable of a UPS."""
        return cls(Ssh.to(town, town.ups[ups].host), followed_instead(town, ups))

    def look(self, ups: str) -> UpsSeen:
        """Return what its upsd says now; raises NoAnswerError, also when the host is away.

        Raises CheckError when the host has no program of ours that could look.
        """
        try:
            done = self.ssh.run(self.looking(ups), timeout=LOOK_SECONDS, check=False)
        except CommandError as error:
            message = f"{self.ssh.host}: {error}"
            raise NoAnswerError(message) from error
        if done.returncode == ExitCode.DONE:
            said = json.loads(done.stdout)
            return _seen(said)
        if done.returncode == ExitCode.USAGE:
            message = f"{self.ssh.host} has no {PROGRAM} that can look: run playbooks/power.yml"
            raise CheckError(message)
        message = f"{self.ssh.host}: {(done.stderr.strip() or 'no answer').splitlines()[-1]}"
        raise NoAnswerError(message)

    def looking(self, ups: str, every: float | None = None) -> str:
        """Return the command that looks there, once or for ever."""
        words = ["/usr/bin/python3", "-I", PROGRAM, "look", ups]
        words += [f"--followed={name}" for name in self.followed]
        return shlex.join([*words, *([] if every is None else ["--every", str(every)])])

    def read(self, file: str) -> str | None:
        """Return a file's text, None when it is not there; raises CommandError."""
        quoted = shlex.quote(file)
        done = self.ssh.run(f"test ! -e {quoted} || cat {quoted}")
        return done.stdout or None

    def processors(self) -> int:
        """Return how many processors it has; raises CommandError."""
        return int(self.ssh.run("nproc").stdout)

    def carry(self, *words: str, timeout: float = LOOK_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a verb of our own power programs there, brought along; nothing is left of it.

        Raises CommandError when the host does not answer or the verb takes longer.
        """
        line = shlex.join(["/usr/bin/python3", "-I", "-c", _CARRIED, *words])
        program = base64.b64encode(pack(Path(power.__path__[0]))).decode()
        return self.ssh.run(line, timeout=timeout, check=False, stdin=program)


def hosts_of(town: Town, ups: str) -> dict[str, UpsHost]:
    """Return the hosts that run NUT for a UPS and that ssh reaches: who has the cable first."""
    names = (town.ups[ups].host, *town.secondaries(ups))
    return {name: UpsHost(Ssh.to(town, name)) for name in names}


def followed_instead(town: Town, ups: str) -> tuple[str, ...]:
    """Return what monitors follow in place of a UPS; nothing where they follow itself."""
    return tuple(name for name in town.ups[ups].followed(ups) if name != ups)


def _seen(said: dict[str, Any]) -> UpsSeen:
    """Return what a line of `look` says; raises KeyError."""
    return UpsSeen(said["variables"], tuple(said["clients"]), said.get("followed", {}))


def note_battery(evidence: Evidence, ups: str, samples: Iterable[Sample]) -> None:
    """Note what the UPS said of its battery, as far as it can be believed."""
    for one in samples:
        if one.seen is None:
            continue
        known = read(one.seen.variables)
        for quantity, value, unit in (
            ("charge", known.charge, "%"), ("runtime", known.runtime, "s"),
            ("voltage", known.voltage, "V"), ("load", known.load, "%"),
        ):  # fmt: skip
            if value is not None:
                evidence.sample(ups, quantity, value, unit, one.at)


def reading_of(sample: Sample, zero: float) -> Reading:
    """Return a look as a measurement takes it, its seconds counted from `zero`."""
    seconds = round(sample.steady - zero, 2)
    if sample.seen is None:
        return Reading(seconds, None)
    known = read(sample.seen.variables)
    status = own_status(known, sample.seen.variables)
    return Reading(seconds, status, known.charge, known.voltage, known.runtime, known.load)


class Watch:
    """Looks at a UPS again and again, in the background, while its block runs.

    When the host goes away the watch goes on trying; each try that fails is a sample, too.
    """

    def __init__(
        self,
        argv: list[str],
        every: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the words of a program that prints a line a look."""
        self.samples: list[Sample] = []
        self._argv, self._every, self._clock = argv, every, clock
        self._over = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._for_ever, daemon=True)

    @classmethod
    def of(cls, host: UpsHost, ups: str, every: float = 1.0) -> Self:
        """Return the watch of a UPS on its host."""
        alive = ("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2")
        program, *words = host.ssh.argv(host.looking(ups, every))
        return cls([program, *alive, *words], every)

    @property
    def last(self) -> Sample | None:
        """The newest look."""
        return self.samples[-1] if self.samples else None

    def first(self, word: str, since: float = float("-inf")) -> Sample | None:
        """Return the first look since a moment (steady clock) in which the UPS said a word."""
        for one in list(self.samples):
            if one.steady >= since and one.seen and word in one.seen.status:
                return one
        return None

    def first_told(self) -> Sample | None:
        """Return the first look in which somebody was told to stop."""
        return next((one for one in list(self.samples) if one.seen and one.seen.told), None)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, whatever the host does."""
        self._over.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join(timeout=LOOK_SECONDS)

    def _for_ever(self) -> None:
        while not self._over.is_set():
            with subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            ) as process:  # fmt: skip
                self._process = process
                if self._over.is_set():
                    process.kill()
                assert process.stdout is not None  # noqa: S101  # asked for above
                for line in process.stdout:
                    self._keep(line)
            if not self._over.wait(self._every):
                self.samples.append(Sample(now(), self._clock(), None, "the host does not answer"))

    def _keep(self, line: str) -> None:
        at, steady = now(), self._clock()
        with contextlib.suppress(ValueError, KeyError):  # the half line of a host that goes down
            said = json.loads(line)
            if "error" in said:
                self.samples.append(Sample(at, steady, None, said["error"]))
            else:
                self.samples.append(Sample(at, steady, _seen(said)))
