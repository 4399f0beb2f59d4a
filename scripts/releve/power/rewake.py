"""Bring everybody back after a power cut; runs for ever on the host that has the UPS's cable.

A power event opens at the first look that finds the UPS on battery or in a forced shutdown, and
when this host itself is forced down. It is on disk before anything else happens, with the UPS's
last word on the mains, survives reboots, and closes when every expected host has been logged in
without a break for a while. While it is open and the mains are steady, whoever is missing is woken,
again and again; never while the UPS says FSD, since a host woken then is sent down at once. Beside
upssched, it counts the time on battery (`releve.power.backstop`).

Standard library only; tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from releve.errors import InputError, ReleveError
from releve.power import tasks, whole
from releve.power.backstop import Backstop
from releve.power.errand import Errand
from releve.power.instant import Instant
from releve.power.readings import FULL, number
from releve.power.status import on_line, supplies
from releve.power.upsd import PORT as UPSD_PORT
from releve.power.upsd import NoAnswerError, Upsd

if TYPE_CHECKING:
    from collections.abc import Callable

POLL = 1.0  # seconds between two looks at the UPS
TRIES = 20  # to wake who never logs in, as long as that fails
MAC_OCTETS = 6
WAKE_PORT = 9
WAKE_SECONDS = 30.0  # for a command that wakes
AWAY, BACK = "on battery", "on line"  # last line of the event's file; roles go by it
LOG = logging.getLogger("rewake")


@dataclass(frozen=True)
class Host:
    """A host that has to be logged in; `wake` is a command, `mac` the way by Wake-on-LAN.

    One that never logs in (WinNUT, Synology) cannot be missed: it is woken once in each event,
    which is tried again where it fails.
    """

    name: str
    address: str
    mac: str = ""
    wake: tuple[str, ...] = ()
    logs_in: bool = True


@dataclass(frozen=True)
class Config:
    """When to wake whom; times in seconds, `min_charge` in percent.

    After `charge_wait` of steady mains a charge below `min_charge` is not believed any more: a UPS
    that says 0 for ever would else keep the site dark for ever.
    """

    ups: str
    hosts: tuple[Host, ...]
    event_file: Path
    alive_file: Path
    broadcast: str
    settle: float
    grace: float
    retry: float
    quiet: float
    min_charge: float
    server: str = "127.0.0.1"
    port: int = UPSD_PORT
    charge_wait: float = 4 * 3600
    flag_file: Path = Path("/run/nut/killpower")  # POWERDOWNFLAG of upsmon.conf
    woken_file: Path | None = None  # touched when somebody is woken, for mode policy

    @property
    def forced_file(self) -> Path:
        """The file that is there while the UPS says FSD, and holds when it was first seen to."""
        return self.event_file.with_name(f"forced-{self.ups}")

    @property
    def battery_file(self) -> Path:
        """The file that is there while the UPS is on battery, and holds since when."""
        return self.alive_file.with_name(f"battery-{self.ups}")

    def forced_for(self, now: Instant) -> float | None:
        """Return for how many seconds of this boot the UPS has said FSD; None: not known."""
        try:
            boot, up = self.forced_file.read_text(encoding="ascii").split()
            return max(0.0, now.up - float(up)) if boot == now.boot else None
        except (OSError, ValueError):
            return None

    @classmethod
    def read(cls, file: Path) -> list[Config]:
        """Read the JSON file that the role writes, one entry a UPS; raises InputError."""
        try:
            return [cls._of(one) for one in json.loads(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"{file}: is no configuration of rewake ({error}); apply playbooks/power.yml"
            raise InputError(message) from error

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Config:
        hosts = [
            Host(
                one["name"],
                one["address"],
                one.get("mac", ""),
                tuple(one.get("wake", ())),
                logs_in=one.get("logs_in", True),
            )
            for one in content.pop("hosts")
        ]
        files: dict[str, Any] = {
            name: Path(value) for name, value in content.items() if name.endswith("_file")
        }
        return cls(**{**content, **files, "hosts": tuple(hosts)})


@dataclass(frozen=True)
class Look:
    """What upsd says: the UPS's status words, its charge if it has one, who is logged in."""

    status: frozenset[str]
    charge: float | None
    clients: frozenset[str]


def ask_upsd(config: Config) -> Look:
    """Ask the upsd that the configuration names; raises NoAnswerError as `look_at` does."""
    return look_at(config.ups, config.server, config.port)


def look_at(ups: str, server: str, port: int = UPSD_PORT) -> Look:
    """Ask upsd; raises NoAnswerError when it is away, stale, or says nothing that is known."""
    try:
        values, clients = Upsd(server, port).glance(ups, "ups.status", "battery.charge")
    except ReleveError as error:
        raise NoAnswerError(str(error)) from error
    if "ups.status" not in values:
        raise NoAnswerError(ups)
    charge = number(values.get("battery.charge"))
    believed = charge if charge is not None and 0 <= charge <= FULL else None
    return Look(frozenset(values["ups.status"].split()), believed, clients)


def wake(host: Host, broadcast: str, port: int = WAKE_PORT) -> Errand | None:
    """Send a host its magic packet, or start its own command; raises OSError."""
    if host.wake:
        return Errand(host.wake, WAKE_SECONDS)
    octets = bytes.fromhex(host.mac.replace(":", ""))
    if len(octets) != MAC_OCTETS:
        message = f"{host.name} has neither a MAC nor a command to be woken by"
        raise OSError(message)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"\xff" * 6 + octets * 16, (broadcast, port))
    return None


class Rewake:
    """One look after the other; everything outside comes in by the constructor."""

    def __init__(
        self,
        config: Config,
        ask: Callable[[Config], Look] = ask_upsd,
        wake_host: Callable[[Host, str], Errand | None] = wake,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] = LOG.info,
        *,
        backstop: Backstop | None = None,
    ) -> None:
        """Take up an event that an earlier life has left open."""
        self.config, self._ask, self._wake, self._clock, self._log = (
            config, ask, wake_host, clock, log,
        )  # fmt: skip
        self._backstop = backstop or Backstop(config.ups, config.battery_file, log)
        self.open = self._kept = config.event_file.exists()
        self._opened, self._mains = _read(config.event_file)
        self._told = False
        self._started = clock()
        self._steady_since: float | None = None
        self._complete_since: float | None = None
        self._forced: bool | None = None
        self._next_wake = self._started
        self._unseen = _unseen(config)  # and not woken yet
        self._round: list[Host] = []  # who is to be woken now
        self._errand: tuple[Host, str, Errand] | None = None  # the command that wakes somebody
        if self.open:
            log(f"{config.ups}: an open power event was found")

    def step(self) -> None:
        """Look once and do what follows from it; what may take long runs beside."""
        now = self._clock()
        self._hear_command()
        try:
            look = self._ask(self.config)
        except NoAnswerError:
            self._steady_since = self._complete_since = None
            self._mains = ""  # a person may write it meanwhile: the next word counts anew
            self._round.clear()
            self._backstop.look(frozenset())
            return
        self._alive()
        self._backstop.look(look.status)
        self._note_forced("FSD" in look.status)
        self._note_mains(look.status)
        if look.status & {"OB", "FSD"}:
            self._open_event("on battery" if "OB" in look.status else "forced shutdown")
        self._keep()
        self._steady_since = _since(self._steady_since, now) if supplies(look.status) else None
        if not self.open or self._steady_since is None:
            self._complete_since = None
            self._round.clear()
            return
        missing = [
            host for host in self.config.hosts if host.logs_in and host.address not in look.clients
        ]
        self._complete_since = None if missing else _since(self._complete_since, now)
        if not self._round and self._may_wake(now, look):
            self._round = [*self._unseen, *missing]
            if self._round:
                self._next_wake = now + self.config.retry
        self._wake_round(missing)
        if (
            self._complete_since is not None
            and not self._unseen
            and now - self._complete_since >= self.config.quiet
        ):
            self._close_event()

    def _wake_round(self, missing: list[Host]) -> None:
        """Wake who is left of the round, one command at a time; who never logs in, once."""
        while self._round and self._errand is None:
            host = self._round.pop(0)
            if host in missing:
                self._try_to_wake(host, "is missing")
            elif host in self._unseen:
                self._try_to_wake(host, "never logs in")

    def _alive(self) -> None:
        """Show who looks that the UPS was understood just now."""
        self._touch(self.config.alive_file)

    def _note_mains(self, status: frozenset[str]) -> None:
        """Bring to the event's file what the UPS says of the mains, for when it falls silent."""
        said = BACK if on_line(status) else AWAY if "OB" in status else self._mains
        if said != self._mains:
            self._mains, self._kept = said, False

    def _note_forced(self, forced: bool) -> None:  # what a look has found
        """Show since when clients can hear of a forced shutdown."""
        if forced == self._forced:
            return
        self._forced, file, now = forced, self.config.forced_file, Instant.now()
        with contextlib.suppress(OSError):
            if not forced:
                file.unlink(missing_ok=True)
            elif self.config.forced_for(now) is None:
                file.write_text(f"{now.boot} {now.up}\n", encoding="ascii")

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
        except OSError as error:
            self._log(f"{file}: {error}")

    def _may_wake(self, now: float, look: Look) -> bool:
        config = self.config
        steady = 0.0 if self._steady_since is None else now - self._steady_since
        return (
            self._steady_since is not None
            and steady >= config.settle
            and now - self._started >= config.grace
            and now >= self._next_wake
            and (
                look.charge is None
                or look.charge >= config.min_charge
                or steady >= config.charge_wait
            )
        )

    def _try_to_wake(self, host: Host, why: str) -> None:
        try:
            errand = self._wake(host, self.config.broadcast)
        except (OSError, ValueError) as error:
            self._tried(host, why, str(error))
            return
        if errand is None:
            self._tried(host, why, "")
        else:
            self._errand = host, why, errand

    def _hear_command(self) -> None:
        """Ask how a command that was to wake somebody has ended; nobody waits for it."""
        if self._errand is not None:
            host, why, errand = self._errand
            fault = errand.fault()
            if fault is not None:
                self._errand = None
                self._tried(host, why, fault)

    def _tried(self, host: Host, why: str, fault: str) -> None:
        if host in self._unseen:
            self._unseen[host] -= 1
            if not fault or not self._unseen[host]:
                del self._unseen[host]
        if fault:
            self._log(f"{host.name} {why} and could not be woken: {fault}")
            return
        self._log(f"{host.name} {why}: woken")
        if self.config.woken_file:
            self._touch(self.config.woken_file)

    def leave(self) -> None:
        """Open the event when upsmon has forced this host down and the UPS said nothing of it.

        So it is with a UPS that is lost in a calibration, mains present: NUT takes it for dead, and
        its flag is the only witness.
        """
        if self.config.flag_file.exists():
            self._open_event("this host is forced down")
        self._keep()

    def _open_event(self, why: str) -> None:
        if not self.open:
            self.open, self._kept, self._told = True, False, False
            self._opened = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._unseen = _unseen(self.config)
            self._log(f"{self.config.ups}: power event opens: {why}")

    def _keep(self) -> None:
        """Bring an open event to the disk; at the next look again when that takes none."""
        if not self.open or self._kept:
            return
        try:
            text = "".join(f"{line}\n" for line in (self._opened, self._mains) if line)
            whole.write(self.config.event_file, text)
        except OSError as error:
            if not self._told:
                self._log(f"{self.config.ups}: a reboot will forget the power event: {error}")
            self._told = True
        else:
            self._kept = True

    def _close_event(self) -> None:
        try:
            self.config.event_file.unlink(missing_ok=True)
        except OSError as error:
            self._log(f"{self.config.event_file}: {error}; the next start finds it open again")
        self.open = False
        self._complete_since = None
        self._log(f"{self.config.ups}: power event closes: every host is logged in")


def _unseen(config: Config) -> dict[Host, int]:
    """Return who never logs in and can be woken, with how often that is tried."""
    return {one: TRIES for one in config.hosts if not one.logs_in and (one.mac or one.wake)}


def _read(file: Path) -> tuple[str, str]:
    """Return when an event was opened, and the last word on the mains; nothing where none is."""
    first, *rest = (*tasks.read(file).splitlines(), "")
    return first, next((one for one in reversed(rest) if one in (AWAY, BACK)), "")


def _since(earlier: float | None, now: float) -> float:
    return now if earlier is None else earlier


def main(arguments: list[str]) -> NoReturn:
    """Look for ever, as the file of the first argument says; raises InputError."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    each = [Rewake(config) for config in Config.read(Path(arguments[0]))]

    def leave(_signal: int, _frame: object) -> NoReturn:
        for rewake in each:
            rewake.leave()
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    while True:
        for rewake in each:
            rewake.step()
        time.sleep(POLL)
