"""Watch a UPS second by second while its battery is drained; runs on the UPS's host.

The samples are journaled as they come, with the clock that goes on from boot to boot's end: who is
killed begins again where the test is now, and never starts it twice. Everything outside comes in
by the constructor. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from releve.errors import CheckError, ReleveError
from releve.power.measure import Reading, draining_words, own_status
from releve.power.measurement import PULLS
from releve.power.readings import OWN_LOW, number, read, seconds_of
from releve.power.upsd import NoAnswerError, Upsd, User

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from releve.power.measurement import How

BASELINE_SECONDS = 5  # of looks before anything happens: what the status says anyway
SHOW_SECONDS = 60.0  # within which a test must show
SETTLED_SECONDS = 3.0  # of looks without a sign, after which the discharge is over
PULL_SECONDS = 900.0  # within which a person pulls the plug
# Above the thresholds at which NUT shuts the site down: a test that nobody attends ends there.
SPARE_RUNTIME, SPARE_CHARGE = 30.0, 3.0  # seconds, points
LONGEST_SECONDS = 8 * 3600.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FIRST_PROCESS = Path("/proc/1/stat")
USERS = Path("/etc/nut/upsd.users")
TESTER = "tester"  # of upsd.users; may send test.battery.* and nothing else
COMMANDS: dict[How, tuple[str, ...]] = {
    "quick": ("test.battery.start.quick", "test.battery.start"),
    "deep": ("test.battery.start.deep",),  # without a word more, "start" may be a quick one
}
STOP = "test.battery.stop"


class Device(Protocol):
    """The UPS at the other end."""

    def variables(self) -> Mapping[str, str]:
        """Return what it says now; raises NoAnswerError."""

    def commands(self) -> frozenset[str]:
        """Return the names of its commands; raises NoAnswerError."""

    def send(self, command: str) -> None:
        """Send it a command; raises CheckError or NoAnswerError."""


@dataclass(frozen=True, slots=True)
class UpsOfHost:
    """A UPS of this host, through its own upsd."""

    ups: str
    upsd: Upsd = field(default_factory=Upsd)
    users: Path = USERS

    def variables(self) -> dict[str, str]:
        """Ask upsd."""
        return self.upsd.variables(self.ups)

    def commands(self) -> frozenset[str]:
        """Ask upsd."""
        return self.upsd.commands(self.ups)

    def send(self, command: str) -> None:
        """Send it as the user who may do so; the password is read here and shown nowhere."""
        self.upsd.send(self.ups, command, User.read(self.users, TESTER))


@dataclass(frozen=True, slots=True)
class Request:
    """What is measured, and when a test is stopped before its end (None: it is not).

    `hold`: the timer of the time on battery waits until the measurement is over (the file says so
    to `power-timer`); the UPS's own "battery low" is obeyed all the same. `unattended`: a test is
    ended before NUT's thresholds are reached. `low_runtime`: a tier of mode policy stops there.
    """

    ups: str
    how: How
    stop_charge: float | None = None
    stop_seconds: float | None = None
    hold: bool = False
    unattended: bool = False
    low_runtime: float | None = None


@dataclass(slots=True)
class Sample:
    """One look, as the journal has it; `clock` is CLOCK_MONOTONIC, `result` the UPS's own word.

    `near_low`: whether NUT's own thresholds are near, at which it would shut the site down.
    """

    clock: float
    status: list[str] | None
    charge: float | None = None
    voltage: float | None = None
    runtime: float | None = None
    load: float | None = None
    result: str = ""
    near_low: bool = False

    @classmethod
    def of(cls, clock: float, variables: Mapping[str, str]) -> Sample:
        """Take what can be believed of a UPS's variables."""
        one = read(variables)
        # Last week's "Done and passed" and today's differ in their date, where there is one.
        parts = (variables.get("ups.test.result", ""), variables.get("ups.test.date", ""))
        told = " ".join(filter(None, parts))
        words = sorted(own_status(one, variables))
        near = OWN_LOW in variables and (
            _near(one.charge, number(variables.get("battery.charge.low")), SPARE_CHARGE)
            or _near(one.runtime, seconds_of(variables, "battery.runtime.low"), SPARE_RUNTIME)
        )
        return cls(clock, words, one.charge, one.voltage, one.runtime, one.load, told, near)

    def reading(self, zero: float) -> Reading:
        """Return it with its seconds counted from `zero`."""
        status = None if self.status is None else frozenset(self.status)
        seconds = round(self.clock - zero, 2)
        return Reading(seconds, status, self.charge, self.voltage, self.runtime, self.load)


def _near(value: float | None, low: float | None, spare: float) -> bool:
    return value is not None and low is not None and value <= low + spare


@dataclass(slots=True)
class Journal:
    """One measurement on disk: a line for its begin, one a sample, one for what happened."""

    file: Path
    lines: list[dict[str, Any]]

    @classmethod
    def open(cls, file: Path) -> Journal:
        """Read what is there; a line that a kill or a power cut has spoilt is left out."""
        lines = []
        if file.exists():
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    lines.append(json.loads(line))
        return cls(file, [line for line in lines if isinstance(line, dict)])

    def note(self, **words: object) -> None:
        """Append a line, on disk before anything else happens."""
        begin = "" if not self.file.exists() or self._whole() else "\n"
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(begin + json.dumps(words) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.lines.append(dict(words))

    def _whole(self) -> bool:
        with self.file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell() == 0:
                return True
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"

    def first(self, key: str) -> Any:  # noqa: ANN401  # JSON
        """Return the first value of a key, None: it was never noted."""
        return next((line[key] for line in self.lines if key in line), None)

    @property
    def running(self) -> bool:
        """Whether it began, in this life of the host, and has not ended."""
        return bool(self.lines) and self.first("end") is None and self.same_boot

    @property
    def same_boot(self) -> bool:
        """Whether its clock is the one that runs now."""
        return bool(self.first("boot") == boot_id())

    @property
    def samples(self) -> list[Sample]:
        """The looks, in order."""
        return [Sample(**line["sample"]) for line in self.lines if "sample" in line]

    @property
    def zero(self) -> float | None:
        """When the mains went, or the test was asked for; None: not yet."""
        told: float | None = self.first("zero")
        return told

    def readings(self) -> list[Reading]:
        """Return the looks with their seconds; before anything has happened, all are before 0."""
        zero = self.zero
        if zero is None:
            zero = self.samples[-1].clock + 1 if self.samples else 0.0
        return [sample.reading(zero) for sample in self.samples]


def command_for(how: How, commands: Collection[str]) -> str | None:
    """Return the command that starts a test; None for what a person does.

    Raises CheckError when the UPS offers none.
    """
    if how in PULLS:
        return None
    found = next((one for one in COMMANDS[how] if one in commands), None)
    if found is None:
        message = f"it offers no {how} test ({COMMANDS[how][0]}); measure by a plug pull instead"
        raise CheckError(message)
    return found


def boot_id() -> str:
    """Return what tells this life of the host from the one before.

    A container keeps its kernel's boot id when it starts again; its first process is another one.
    """
    try:
        kernel = BOOT_ID.read_text(encoding="utf-8").strip()
        # proc(5): the name, in brackets, may hold blanks; the start time is the 22nd field
        started = FIRST_PROCESS.read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "unknown"
    return f"{kernel} {started}"


class Sampler:
    """Runs one measurement to its end, or takes up one that was left."""

    def __init__(
        self,
        request: Request,
        device: Device,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        hold_file: Path | None = None,
    ) -> None:
        """Open the journal `folder/UPS.jsonl`; a measurement that has ended makes room."""
        self.request, self.device, self.clock, self.sleep = request, device, clock, sleep
        self.pull_file = folder / f"{request.ups}.pulled"
        self.end_file = folder / f"{request.ups}.end"
        file = folder / f"{request.ups}.jsonl"
        self.journal = Journal.open(file)
        if self.journal.running:
            self.request = Request(**self.journal.first("request"))
        else:
            file.unlink(missing_ok=True)
            self.pull_file.unlink(missing_ok=True)
            self.end_file.unlink(missing_ok=True)
            self.journal = Journal(file, [])
        self.hold_file = hold_file if self.request.hold else None
        self._words: frozenset[str] = frozenset()
        self._last = Reading(-1.0, None)
        self._known = -1.0
        self._drained: float | None = None
        self._near_low = False

    def run(self) -> Journal:
        """Measure; raises what the device raises before the test has begun."""
        if not self.journal.lines:
            self._begin()
        self._take_up()
        try:
            while not self._over():
                self.sleep(1)
                self._look()
        except OSError:  # of a full disk: nobody would end the test any more
            self._leave()
            raise
        finally:
            if self.hold_file:
                self.hold_file.unlink(missing_ok=True)
        return self.journal

    def _begin(self) -> None:
        commands = self.device.commands()
        asked = command_for(self.request.how, commands)
        self.journal.note(
            begin=self.clock(),
            boot=boot_id(),
            request=asdict(self.request),
            commands=sorted(commands),
        )
        for _ in range(BASELINE_SECONDS):
            self._look()
            self.sleep(1)
        if asked is None:
            return
        # Noted before it is sent: who is killed in between must not start a second test.
        self.journal.note(zero=self.clock(), sent=asked)
        try:
            self.device.send(asked)
        except Exception as error:
            if isinstance(error, NoAnswerError):  # it may have begun all the same
                self._leave()
            self.journal.note(end="refused", at=self.clock())
            raise

    def _leave(self) -> None:
        """End a test that nobody follows any more: it would go on until the site is stopped."""
        if self.request.how == "deep":
            self._stop()

    def _stop(self) -> bool:
        """Ask the test to end, where that can be asked; return whether the UPS was told."""
        if STOP in self.journal.first("commands"):
            try:
                self.device.send(STOP)
            except ReleveError:
                return False
        return True

    def _look(self) -> None:
        if self.hold_file:
            self.hold_file.touch()
        try:
            sample = Sample.of(self.clock(), self.device.variables())
        except NoAnswerError:
            sample = Sample(self.clock(), None)
        self.journal.note(sample=asdict(sample))
        self._near_low = sample.near_low
        if self.journal.zero is None and self.pull_file.exists():
            self.journal.note(zero=float(self.pull_file.read_text(encoding="utf-8")))
            self._take_up()
        elif self.journal.zero is not None:
            self._follow(sample.reading(self.journal.zero))

    def _take_up(self) -> None:
        """Go over what was seen so far, once the moment is known that it counts from."""
        if self.journal.zero is not None:
            readings = self.journal.readings()
            self._words = draining_words(readings, self.request.how)
            for one in readings:
                self._follow(one)

    def _follow(self, one: Reading) -> None:
        self._last = one
        if one.status is not None:
            self._known = one.seconds
            if one.seconds >= 0 and self._words & one.status:
                self._drained = one.seconds

    def _over(self) -> bool:
        """Tell whether the measurement is over, and note why; ask the test to stop when due."""
        why = self._why_over()
        if why:
            self.journal.note(end=why, at=self.clock())
            return True
        # One that is not heard is asked again: a test that goes on would stop the site.
        if self.journal.first("stopped") is None and (enough := self._enough()) and self._stop():
            self.journal.note(stopped=self._last.seconds, why=enough)
        return False

    def _why_over(self) -> str:
        if self.journal.zero is None:
            begun = self.clock() - self.journal.first("begin")
            return "never-pulled" if begun > PULL_SECONDS else ""
        now = self._last.seconds
        if self._drained is not None and self._known - self._drained >= SETTLED_SECONDS:
            return "back"
        if self._drained is None and now > SHOW_SECONDS:
            return "never-shown"
        if self.request.how == "quick" and now > SHOW_SECONDS:
            return "not-back"
        return "too-long" if now > LONGEST_SECONDS else ""

    def _enough(self) -> str:
        """Say why the test may end now (asked, charge, time, low); nothing: it goes on."""
        request, last = self.request, self._last
        if self.journal.zero is None or request.how != "deep":
            return ""
        if self.end_file.exists():
            return "asked"
        if None not in (request.stop_charge, last.charge) and (last.charge or 0) <= (
            request.stop_charge or 0
        ):
            return "charge"
        if request.stop_seconds is not None and last.seconds >= request.stop_seconds:
            return "time"
        near = request.unattended and self._near_low
        return "low" if near or _near(last.runtime, request.low_runtime, SPARE_RUNTIME) else ""
