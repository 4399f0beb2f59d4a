"""`policy -a TIER`: a NUT driver that publishes one virtual UPS, for one tier; mode `policy`.

Stock upsd, upsmon and clients do the rest. It reads the real UPS from upsd, follows it by the
ladder, decides once (`cycle.py`), and cuts nothing: `-k`, which upsdrvctl calls last, is left to
the driver of the real UPS. Runs for ever: keep it small. Standard library only.
"""

from __future__ import annotations

import fcntl
import getopt
import json
import logging
import math
import os
import pwd
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from releve.errors import InputError, ReleveError
from releve.power.cycle import Cycle, Files, Look, Status, Tier
from releve.power.driver_socket import DriverSocket
from releve.power.instant import Instant
from releve.power.ladder import Known, Site
from releve.power.live import Live
from releve.power.measurement import Measurement
from releve.power.readings import read
from releve.power.rewake import look_at
from releve.power.trend import is_of
from releve.power.upsd import PORT, NoAnswerError, Upsd

if TYPE_CHECKING:
    from releve.power.readings import Readings

CONFIG = Path("/etc/releve/policy.json")
RUN = Path("/run/nut")
NAME = "releve-policy"  # as `driver =` in ups.conf; upsd looks for the socket NAME-TIER
POLL = 1.0  # seconds between two looks at the real UPS
LOCAL = frozenset({"127.0.0.1", "::1"})
LOG = logging.getLogger("policy")


@dataclass(frozen=True, slots=True)
class Config:
    """What the role writes for one tier; `source` is the real UPS at this host's upsd.

    `expected`: who has to be logged in at which tier before this host may stop. After a boot of it
    they have `grace` seconds for it, and after `rewake` woke one of them: a file woken-TIER in the
    folder `woken` is as old as that.

    The file is a list with an entry for each real UPS; the first of its tiers is the site's.
    """

    tier: Tier
    site: Site
    known: Known
    source: str
    folder: Path
    port: int = PORT
    expected: tuple[tuple[str, frozenset[str]], ...] = ()
    grace: float = 0
    woken: Path | None = None

    @classmethod
    def read(cls, file: Path, name: str) -> Config:
        """Take one tier out of the file; raises InputError where it is not as it has to be."""
        try:
            each: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
            found = [(one, own) for one in each for own in one["tiers"] if own["name"] == name]
            said, own = found[0]
            first = said["tiers"][0]["name"]
            record = Measurement.read(Path(said["record"])) if said.get("record") else None
            known = Known.of(record)
            if said.get("capacity_seconds") and known.capacity_seconds is None:
                known = Known(capacity_seconds=float(said["capacity_seconds"]))
            return cls(
                tier=Tier(
                    name,
                    None if name == first else first,
                    own.get("after"),
                    said["settle"],
                    own.get("least", 0),
                    said["alarm"],
                    said["ladder"]["comms_hold"],
                    own.get("carried", False),
                ),
                site=Site(need=own["need"], **said["ladder"]),
                known=known,
                source=said["source"],
                folder=Path(said["folder"]),
                expected=tuple(
                    (one, frozenset(who)) for one, who in own.get("expected", {}).items()
                ),
                grace=said.get("grace", 0),
                woken=Path(said["woken"]) if "woken" in said else None,
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            message = (
                f"{file}: tier {name} cannot be read from it ({type(error).__name__}: {error}); "
                "apply playbooks/power.yml, which writes it"
            )
            raise InputError(message) from error


class Policy:
    """One tier's driver; `run` looks, decides and publishes for ever."""

    def __init__(self, config: Config, boot: str) -> None:
        """Take up what an earlier life has left."""
        self.config = config
        self.upsd, self.heard = Upsd(port=config.port), False
        name = config.tier.name
        self.live = Live(config.folder / f"{name}.ladder.json", config.site, config.known)
        self.cycle = Cycle(config.tier, Files(config.folder), boot, LOG.warning)
        now = Instant.now()
        booted = not is_of(self.live.state, Instant(now.wall, now.up, boot))
        self._grace_ends = now.up + config.grace if booted else now.up

    def step(self) -> dict[str, str] | None:
        """Look once; return what is published from now on, None for nothing fresh."""
        now = Instant.now()
        readings = self._read()
        verdict = self.live.look(now, readings)
        state = self.live.state
        known = is_of(state, now)
        status = self.cycle.step(
            Look(
                up=now.up,
                wall=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now.wall)),
                verdict=verdict,
                on_battery=state.on_battery if known else 0,
                drained=known and state.drained,
                silent=None if self._never(readings) else state.silent,
                logins=self._logins(),
                waits=self._waits(now.up),
            )
        )
        return None if status is None else self._published(status, readings)

    def _never(self, readings: Readings | None) -> bool:
        """Whether this life of the driver has not heard the UPS yet."""
        self.heard = self.heard or (readings is not None and not readings.refusals)
        return not self.heard

    def _read(self) -> Readings | None:
        try:
            return read(self.upsd.variables(self.config.source))
        except ReleveError:
            return None

    def _logins(self) -> frozenset[str] | None:
        """Return who is logged in at this tier, asked only when that may end its decision."""
        if self.cycle.decision is None or self.config.tier.follows is None:
            return None
        try:
            return look_at(self.config.tier.name, "127.0.0.1", self.config.port).clients - LOCAL
        except NoAnswerError:
            return None

    def _waits(self, up: float) -> bool:
        """Whether clients that boot with this host, or were just woken, may still log in."""
        if up >= self._grace_ends and not self._just_woken():
            return False
        try:
            if any(not who <= self.upsd.clients(one) for one, who in self.config.expected):
                return True
        except ReleveError:
            return True
        self._grace_ends = up  # all of them are in
        return False

    def _just_woken(self) -> bool:
        """Whether one of those who are expected may still boot, since `rewake` woke it.

        Age by the wall clock, as files have it: one that is set back ends the waiting.
        """
        folder = self.config.woken
        if folder is None:
            return False
        for tier, _who in self.config.expected:
            try:
                woken = (folder / f"woken-{tier}").stat().st_mtime
            except OSError:
                continue
            if 0 <= time.time() - woken < self.config.grace:
                return True
        return False

    def _published(self, status: Status, readings: Readings | None) -> dict[str, str]:
        decision = self.cycle.decision
        values = {
            "device.type": "ups",
            "driver.name": NAME,
            "ups.status": status,
            "experimental.decision": decision.id if decision else "none",
        }
        numbers = {
            "battery.charge": readings.charge if readings else None,
            "battery.runtime": readings.runtime if readings else None,
        }
        return values | {
            name: f"{math.floor(value)}" for name, value in numbers.items() if value is not None
        }


def main(arguments: list[str]) -> int:
    """Do what upsdrvctl asks for, for ever when it is to run; raises InputError."""
    try:
        options = dict(getopt.gnu_getopt(arguments, "a:kDFBhVu:x:i:qd:s:")[0])
    except getopt.GetoptError as error:
        message = f"{error}; upsdrvctl calls it with -a and the name of a virtual UPS"
        raise InputError(message) from None
    if "-V" in options or "-h" in options:
        sys.stdout.write(f"{NAME}: a virtual UPS for each tier, on top of a real one\n")
        return 0
    if "-k" in options:
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _become_nut()
    name = options.get("-a", "")
    pid = RUN / f"{NAME}-{name}.pid"
    lock = _only_one(pid)
    policy = Policy(Config.read(CONFIG, name), Instant.now().boot)
    link = DriverSocket(RUN / f"{NAME}-{name}")
    if "-F" not in options and "-D" not in options:
        _to_background()
    _tell_pid(lock)

    def leave(_signal: int, _frame: object) -> NoReturn:
        pid.unlink(missing_ok=True)
        (RUN / f"{NAME}-{name}").unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    due = 0.0
    while True:
        now = time.monotonic()
        if now >= due:
            due = now + POLL
            link.publish(policy.step())
        link.serve(max(0.0, due - time.monotonic()))


def _only_one(pid: Path) -> int:
    """Hold the pid file for this life, and return it; raises InputError while another driver does.

    A second one would take the first one's socket, and each its end from the other.
    """
    lock = os.open(pid, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"{pid}: the driver of this tier runs already; stop it first (systemctl)"
        raise InputError(message) from error
    return lock


def _tell_pid(lock: int) -> None:
    """Write for upsdrvctl who this is; it serves all the same where the disk is full."""
    try:
        os.truncate(lock, 0)
        os.write(lock, b"%d\n" % os.getpid())
    except OSError as error:
        LOG.warning("no pid file: %s", error)


def _become_nut() -> None:
    """Drop root as NUT's own drivers do."""
    if os.getuid() == 0:
        nut = pwd.getpwnam("nut")
        os.initgroups("nut", nut.pw_gid)
        os.setgid(nut.pw_gid)
        os.setuid(nut.pw_uid)


def _to_background() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
