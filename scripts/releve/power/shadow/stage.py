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
from releve.power.shadow import config, sandbox, secured, setting, tiers
from releve.power.shadow.hearing import Ears
from releve.power.shadow.setting import ETC, RUN, TIMER_SECONDS, Plan, write_device
from releve.power.shadow.stand_in import StandIn
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ssl import SSLContext

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
START_SECONDS = 20.0
SEEN_SECONDS = 60.0
QUIET_SECONDS = 3.0  # after which a cancelled timer would have run out
STEP = 0.1
DRIVER = Path("/usr/lib/nut/dummy-ups")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104  # read, not bound
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
LOG_LINES = 200


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
        elif config.timers(self.texts.get("upssched.conf", "")):
            self.play_timer()
        else:
            self.play_after()
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

    def play_after(self) -> None:
        """As `play_timer`, where the policy counts the time on battery itself."""
        self.publish("OB DISCHRG")
        self.await_policy("OB")
        self.publish("OL")
        self.await_policy("OL")
        self.wait(tiers.SECONDS + QUIET_SECONDS)
        if self.count("shutdown") or not self.policy_says("OL"):
            message = "the policy decided though the mains came back in time"
            raise CheckError(message)
        self.publish("OB DISCHRG")
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
            self.tell("fsd", self.names, "the primary says FSD")
        if self.ours:
            self.await_policy("FSD")
            text = tiers.SETTINGS.read_text(encoding="utf-8")
            for ups in sorted(self.ours):
                self.tell("policy", ups, f"says FSD: {tiers.why(text, ups)}")
        self.await_kind("shutdown", "SHUTDOWNCMD was not called")

    def await_policy(self, word: str) -> None:
        """See every virtual UPS of this host say a word."""
        otherwise = f"the policy does not say {word} on {', '.join(sorted(self.ours))}"
        self.await_true(lambda: self.policy_says(word), otherwise, SEEN_SECONDS)

    def policy_says(self, word: str) -> bool:
        """Whether every virtual UPS that this host follows says a word."""
        return self.at_upsd(lambda seen: word in seen.status, self.ours)

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
        self.tell("ready", "host", f"upsmon is logged in at {self.names}")

    def serve(self) -> None:
        """Choose what upsd serves and what a stand-in has to."""
        what = config.monitoring(self.texts["upsmon.conf"])
        own = set(config.sections(self.texts.get("ups.conf", "")))
        listens = {address for address, _port in config.listens(self.texts.get("upsd.conf", ""))}
        with_upsd = DRIVER.exists() and Path("/usr/sbin/upsd").exists()
        demand = secured.Demand.of(self.texts["upsmon.conf"])
        others: dict[tuple[str, int], list[str]] = {}
        asked: dict[tuple[str, int], bool] = {}
        for one in what.monitors:
            address = self.plan.names.get(one.host, one.host)
            local = one.host in LOCAL or address in listens
            if with_upsd and local and one.ups in own:
                self.served.add(one.ups)
            else:
                address = "127.0.0.1" if one.host == "localhost" else address
                others.setdefault((address, one.port), []).append(one.ups)
                asked[address, one.port] = demand.asked_of(one.host)
        shown = self.certificate(demand, others) if any(asked.values()) else None
        self.stand_ins = [
            StandIn(*where, upses, shown if asked[where] else None)
            for where, upses in others.items()
        ]
        for server in self.stand_ins:
            self.tell("stand-in", ",".join(server.values), server.how)

    def certificate(self, demand: secured.Demand, places: Iterable[tuple[str, int]]) -> SSLContext:
        """Return what stand-ins show at these places, after upsmon was made to trust it."""
        what = config.monitoring(self.texts["upsmon.conf"])
        hosts = {*(one.host for one in what.monitors), *(address for address, _port in places)}
        room = Path(config.FOLDER)
        shown = secured.certificate(demand, sorted(hosts), room)
        if demand.folder:
            sandbox.bind(secured.trusted(demand, room), demand.folder)
        return shown

    def start_drivers(self) -> None:
        """Start dummy-ups for each UPS of ours and the policy for each virtual one, then upsd."""
        if not self.served:
            return
        for ups in self.upses:
            if ups in self.virtual:
                self.run(config.POLICY, [str(tiers.DRIVER), "-a", ups, "-F"])
                continue
            if ups not in self.played:
                write_device(ups, self.values_of(ups, "OL"))
            self.run("dummy-ups", [str(DRIVER), "-a", ups, "-F"])
        self.await_true(self.drivers_ready, "the played UPSes do not start")
        self.run("upsd", [self.program("upsd"), "-F"])

    @property
    def upses(self) -> tuple[str, ...]:
        """The UPSes of this host's ups.conf."""
        return config.sections(self.texts.get("ups.conf", ""))

    @property
    def virtual(self) -> dict[str, str]:
        """The virtual ones, each with the real one that it reads."""
        return config.virtual(self.texts.get("ups.conf", ""))

    @property
    def ours(self) -> set[str]:
        """The virtual ones that this host follows."""
        return self.served & set(self.virtual)

    @property
    def played(self) -> set[str]:
        """Those of whose devices the stage says what they say."""
        return {self.virtual.get(ups, ups) for ups in self.served}

    @property
    def names(self) -> str:
        """What upsmon follows, for people."""
        monitors = config.monitoring(self.texts["upsmon.conf"]).monitors
        return ",".join(dict.fromkeys(one.ups for one in monitors))

    def drivers_ready(self) -> bool:
        """Whether each driver has its socket."""
        kinds = {ups: config.POLICY if ups in self.virtual else "dummy-ups" for ups in self.upses}
        return all((RUN / f"{kind}-{ups}").exists() for ups, kind in kinds.items())

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
        if "OB" in status.split() and "input.voltage" in values:
            values["input.voltage"] = "0"
        if "LB" in status.split():
            values |= {"battery.charge": "1", "battery.runtime": "1"}
        values.pop("ups.status", None)
        # Last: dummy-ups works the low battery out of what it has read by then.
        return values | {"ups.status": status}

    def publish(self, status: str) -> None:
        """Let all UPSes of the host say the same: the mains are those of the house."""
        for ups in self.played:
            write_device(ups, self.values_of(ups, status))
        for server in self.stand_ins:
            for ups in server.values:
                server.values[ups] = self.values_of(ups, status)
        self.tell("played", self.names, f"says {status}")

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
        texts = setting.enter(plan)
        stage = Stage(plan, Ears(), texts, deadline)
        try:
            stage.play()
        finally:
            lines = [asdict(one) for one in stage.ears.lines[-LOG_LINES:]]
            sys.stdout.write(json.dumps({"heard": lines}) + "\n")
    except (ReleveError, OSError, subprocess.SubprocessError) as error:
        sys.stdout.write(json.dumps({"failed": str(error)}) + "\n")
    sys.stdout.flush()
    return 0


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(3)
