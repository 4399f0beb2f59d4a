"""Play a power cut to the host's own NUT inside the room, and say what it did.

Reads the plan as one line of JSON on stdin, says what happens as lines of JSON on stdout, and ends
at once when stdin ends: whoever started it is gone then.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import CheckError, ReleveError
from releve.power.look import UpsSeen, look
from releve.power.shadow import config, sandbox
from releve.power.shadow.hearing import Ears
from releve.power.shadow.stand_in import StandIn
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

ETC = Path("/etc/nut")
RUN = Path("/run/nut")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
START_SECONDS = 20.0
SEEN_SECONDS = 60.0
TIMER_SECONDS = 5  # how long the timer runs in its turn
QUIET_SECONDS = 3.0  # after which a cancelled timer would have run out
STEP = 0.1
DRIVER = Path("/usr/lib/nut/dummy-ups")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104  # read, not bound
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
LOG_LINES = 200
RECORDER = """\
#!/bin/sh
logger -t shadow-{name} -- "{said}"
{then}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played: `low` or `timer`; `base` is what each UPS said last, on line."""

    trigger: str
    names: dict[str, str]
    addresses: tuple[str, ...]
    base: dict[str, dict[str, str]]
    limit: float

    @classmethod
    def read(cls, line: str) -> Plan:
        """Read the line that `main` wrote."""
        said = json.loads(line)
        return cls(**{**said, "addresses": tuple(said["addresses"])})


@dataclass(slots=True)
class Stage:
    """The daemons of one turn and what was heard of them."""

    plan: Plan
    ears: Ears
    texts: dict[str, str]
    deadline: float
    served: set[str] = field(default_factory=set)
    stand_ins: list[StandIn] = field(default_factory=list)
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    told: int = 0

    def play(self) -> None:
        """Play the whole turn; raises CheckError with what did not happen."""
        self.start()
        if self.plan.trigger == "low":
            self.play_low()
        else:
            self.play_timer()
        self.look_at_flag()

    # --- the turns ----------------------------------------------------------------------------

    def play_low(self) -> None:
        """On battery, then the battery is low."""
        self.publish("OB DISCHRG")
        self.await_on_battery()
        if config.timers(self.texts.get("upssched.conf", "")):
            self.await_kind("timer-started", "upssched did not start its timer")
        self.publish("OB DISCHRG LB")
        self.await_shutdown()

    def play_timer(self) -> None:
        """On battery, back in time: nothing; on battery for longer: the shutdown."""
        self.publish("OB DISCHRG")
        self.await_on_battery()
        self.await_kind("timer-started", "upssched did not start its timer")
        self.publish("OL")
        self.await_kind("timer-cancelled", "the timer was not cancelled when the mains came back")
        self.wait(TIMER_SECONDS + QUIET_SECONDS)
        if self.timer_fired() or self.count("shutdown"):
            message = "a cancelled timer fired all the same"
            raise CheckError(message)
        self.publish("OB DISCHRG")
        otherwise = "CMDSCRIPT was not called when the time was over"
        self.await_true(self.timer_fired, otherwise, SEEN_SECONDS)
        self.await_shutdown()

    def await_on_battery(self) -> None:
        """See upsmon notice; by NOTIFYCMD where it has one for this, else by its own word."""
        self.await_any(("notified", "on-battery"), "upsmon did not notice the loss of the mains")

    def await_shutdown(self) -> None:
        """See SHUTDOWNCMD called; a host that follows is told FSD by its primary."""
        follows = self.stand_ins and not any(
            one.primary for one in config.monitoring(self.texts["upsmon.conf"]).monitors
        )
        if follows:
            self.await_any(("low-battery",), "upsmon did not see the low battery")
            for server in self.stand_ins:
                server.forced |= set(server.values)
            self.tell("fsd", ",".join(self.plan.base), "the primary says FSD")
        self.await_kind("shutdown", "SHUTDOWNCMD was not called")

    def look_at_flag(self) -> None:
        """Say whether the flag stands, and what the last hook of a shutdown would read in it."""
        flag = config.monitoring(self.text_of("upsmon.conf")).flag
        if flag and Path(flag).exists():
            self.tell("flag", "host", f"kill-power flag written: {flag}")
        done = subprocess.run(
            [self.program("upsmon"), "-K"], capture_output=True, check=False, timeout=10,
            env={"PATH": PATH},
        )  # fmt: skip
        self.tell("killpower", "host", f"upsmon -K ends with {done.returncode}")

    # --- the daemons --------------------------------------------------------------------------

    def start(self) -> None:
        """Start what the host starts, and see upsmon logged in while the mains are there."""
        self.serve()
        self.publish("OL")
        self.start_drivers()
        self.await_true(self.all_on_line, "upsd does not say OL of the played UPSes")
        self.run("upsmon", [self.program("upsmon"), "-F"])
        self.await_true(self.all_logged_in, "upsmon did not log in")
        self.tell("ready", "host", "upsmon is logged in at " + ", ".join(self.plan.base))

    def serve(self) -> None:
        """Choose what upsd serves and what a stand-in has to."""
        what = config.monitoring(self.texts["upsmon.conf"])
        own = set(config.sections(self.texts.get("ups.conf", "")))
        listens = {address for address, _port in config.listens(self.texts.get("upsd.conf", ""))}
        with_upsd = DRIVER.exists() and Path("/usr/sbin/upsd").exists()
        others: dict[tuple[str, int], list[str]] = {}
        for one in what.monitors:
            address = self.plan.names.get(one.host, one.host)
            local = one.host in LOCAL or address in listens
            if with_upsd and local and one.ups in own:
                self.served.add(one.ups)
            else:
                address = "127.0.0.1" if one.host == "localhost" else address
                others.setdefault((address, one.port), []).append(one.ups)
        self.stand_ins = [StandIn(*where, upses) for where, upses in others.items()]

    def start_drivers(self) -> None:
        """Start dummy-ups for each UPS of ours, then upsd."""
        for ups in config.sections(self.texts.get("ups.conf", "")) if self.served else ():
            if ups not in self.served:
                self.write_device(ups, self.values_of(ups, "OL"))
            self.run("dummy-ups", [str(DRIVER), "-a", ups, "-F"])
        if self.served:
            self.await_true(self.drivers_ready, "the played UPSes do not start")
            self.run("upsd", [self.program("upsd"), "-F"])

    def drivers_ready(self) -> bool:
        """Whether each driver has its socket."""
        upses = config.sections(self.texts["ups.conf"])
        return all((RUN / f"dummy-ups-{ups}").exists() for ups in upses)

    def run(self, name: str, argv: list[str]) -> None:
        """Start a daemon as its unit does, and listen to it."""
        daemon = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": PATH},
        )  # fmt: skip
        assert daemon.stdout is not None  # noqa: S101  # asked for above
        self.ears.listen_to(daemon.stdout, name)
        self.daemons[name] = daemon

    @staticmethod
    def program(name: str) -> str:
        """Return the program that the unit starts: on Debian the wrapper that looks at MODE."""
        found = shutil.which(name, path="/usr/sbin:/sbin:/usr/lib/nut:/usr/bin")
        if found is None:
            message = f"there is no program {name} on this host: install NUT"
            raise CheckError(message)
        return found

    # --- what the UPSes say -------------------------------------------------------------------

    def values_of(self, ups: str, status: str) -> dict[str, str]:
        """Return what a UPS says: what it said last, with this status, and empty with LB."""
        values = {"battery.charge": "100", "battery.runtime": "3600"} | self.plan.base.get(ups, {})
        if "LB" in status.split():
            values |= {"battery.charge": "1", "battery.runtime": "1"}
        values.pop("ups.status", None)
        # Last: dummy-ups works the low battery out of what it has read by then.
        return values | {"ups.status": status}

    def publish(self, status: str) -> None:
        """Let all UPSes of the host say the same: the mains are those of the house."""
        for ups in self.served:
            self.write_device(ups, self.values_of(ups, status))
        for server in self.stand_ins:
            for ups in server.values:
                server.values[ups] = self.values_of(ups, status)
        self.tell("played", ",".join(self.plan.base), f"says {status}")

    @staticmethod
    def write_device(ups: str, values: dict[str, str]) -> None:
        """Write the file that dummy-ups reads."""
        file = Path(config.FOLDER, f"{ups}.dev")
        part = file.with_suffix(".part")
        part.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
        part.chmod(0o644)
        part.replace(file)

    def all_on_line(self) -> bool:
        """Whether upsd says OL of each UPS that it serves."""
        return not self.served or self.at_upsd(lambda seen: "OL" in seen.status)

    def all_logged_in(self) -> bool:
        """Whether upsmon is logged in for each UPS that feeds this host."""
        own = {
            one.ups for one in config.monitoring(self.texts["upsmon.conf"]).monitors if one.supplies
        }
        there = all(
            logins for one in self.stand_ins for ups, logins in one.logins.items() if ups in own
        )
        wanted = self.served & own
        return there and (not wanted or self.at_upsd(lambda seen: bool(seen.clients), wanted))

    def at_upsd(self, holds: Callable[[UpsSeen], bool], upses: set[str] | None = None) -> bool:
        """Whether something holds for what upsd says of each UPS."""
        address, port = config.listens(self.texts.get("upsd.conf", ""))[0]
        address = EVERYWHERE.get(address, self.plan.names.get(address, address))
        try:
            return all(holds(look(ups, address, port)) for ups in upses or self.served)
        except NoAnswerError:
            return False

    # --- what is heard ------------------------------------------------------------------------

    def text_of(self, name: str) -> str:
        """Return a file of the configuration as the room has it."""
        return (ETC / name).read_text(encoding="utf-8", errors="replace")

    def hear(self) -> None:
        """Listen for a moment, and tell what has a meaning."""
        self.ears.hear(STEP)
        for one in self.ears.lines[self.told :]:
            if one.kind:
                self.tell(one.kind, one.tag, one.text, one.at)
        self.told = len(self.ears.lines)

    def count(self, kind: str) -> int:
        """Return how often something was heard."""
        return sum(one.kind == kind for one in self.ears.lines)

    def timer_fired(self) -> bool:
        """Tell whether CMDSCRIPT was called for a timer; EXECUTE calls it for events, too."""
        names = {one.name for one in config.timers(self.texts.get("upssched.conf", ""))}
        return any(one.kind == "script" and one.text in names for one in self.ears.lines)

    def wait(self, seconds: float) -> None:
        """Listen so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.hear()

    def await_kind(self, kind: str, otherwise: str) -> None:
        """Wait until it is heard."""
        self.await_any((kind,), otherwise)

    def await_any(self, kinds: tuple[str, ...], otherwise: str) -> None:
        """Wait until one of them is heard."""
        self.await_true(lambda: any(self.count(kind) for kind in kinds), otherwise, SEEN_SECONDS)

    def await_true(
        self, holds: Callable[[], bool], otherwise: str, seconds: float = START_SECONDS
    ) -> None:
        """Listen until it holds; raises CheckError with what the daemons said last."""
        end = min(self.deadline, time.monotonic() + seconds)
        while not holds():
            self.hear()
            if time.monotonic() > end:
                message = f"{otherwise}; {self.last_words()}"
                raise CheckError(message)
        self.hear()

    def last_words(self) -> str:
        """Return who has ended by itself, and what was said last."""
        ended = [
            f"{name} ended with {daemon.returncode}"
            for name, daemon in self.daemons.items()
            if daemon.poll() is not None
        ]
        said = [f"{one.tag}: {one.text}" for one in self.ears.lines[-3:]]
        return "; ".join([*ended, *said]) or "nothing was said"

    @staticmethod
    def tell(kind: str, subject: str, what: str, at: float | None = None) -> None:
        """Say an event to who has started us."""
        line = {"at": at or time.time(), "kind": kind, "subject": subject, "what": what}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> int:
    """Play one turn as the first process of its own namespaces."""
    plan = Plan.read(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    deadline = time.monotonic() + plan.limit
    try:
        stage = _set_the_stage(plan, deadline)
        try:
            stage.play()
        finally:
            lines = [asdict(one) for one in stage.ears.lines[-LOG_LINES:]]
            sys.stdout.write(json.dumps({"heard": lines}) + "\n")
    except (ReleveError, OSError, subprocess.SubprocessError) as error:
        sys.stdout.write(json.dumps({"failed": str(error)}) + "\n")
    sys.stdout.flush()
    return 0


def _set_the_stage(plan: Plan, deadline: float) -> Stage:
    texts = {
        file.name: file.read_text(encoding="utf-8", errors="replace")
        for file in ETC.iterdir()
        if file.is_file()
    }
    folders = sandbox.folders_below(RUN)
    sandbox.enter(plan.addresses, plan.names, folders)
    sys.stdout.write(json.dumps({"namespace": str(Path("/proc/self/ns/pid").readlink())}) + "\n")
    RUN.mkdir(exist_ok=True)
    room = Path(config.FOLDER)
    room.mkdir(mode=0o755)
    what = config.monitoring(texts["upsmon.conf"])
    script = config.script_of(texts.get("upssched.conf", ""))
    recorders = {
        "shutdown": ("uid $(id -u)", "exit 0"),
        # upssched tells of its timers only when it is asked to.
        "notify": (
            "$NOTIFYTYPE $UPSNAME",
            f'export NUT_DEBUG_LEVEL=1\nexec {what.notify or "true"} "$@"',
        ),
        "script": ("$*", f'exec {script or "true"} "$@"'),
    }
    for name, (said, then) in recorders.items():
        file = room / name
        file.write_text(RECORDER.format(name=name, said=said, then=then))
        file.chmod(0o755)
    _rewrite(plan, texts, room)
    return Stage(plan, Ears(), texts, deadline)


def _rewrite(plan: Plan, texts: dict[str, str], room: Path) -> None:
    """Copy /etc/nut with its modes and owners, rewrite the few lines, and put it in its place."""
    copy = room / "etc"
    shutil.copytree(ETC, copy, symlinks=False)
    for file in (ETC, *ETC.rglob("*")):
        seen = file.stat()
        os.chown(copy / file.relative_to(ETC), seen.st_uid, seen.st_gid)
    timer = TIMER_SECONDS if plan.trigger == "timer" else None
    new = {"upsmon.conf": config.upsmon_conf(texts["upsmon.conf"], tls=not _needs_stand_in(texts))}
    if "upssched.conf" in texts:
        new["upssched.conf"] = config.upssched_conf(texts["upssched.conf"], timer)
    if "ups.conf" in texts:
        new["ups.conf"] = config.ups_conf(texts["ups.conf"])
    for name, text in new.items():
        (copy / name).write_text(text, encoding="utf-8")
    sandbox.bind(copy, str(ETC))


def _needs_stand_in(texts: dict[str, str]) -> bool:
    """Whether some UPS is another host's; its certificate is not ours to show."""
    own = config.sections(texts.get("ups.conf", ""))
    return any(one.ups not in own for one in config.monitoring(texts["upsmon.conf"]).monitors)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(3)
