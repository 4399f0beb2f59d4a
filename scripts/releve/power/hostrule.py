"""A client that hears nobody any more decides for itself; runs for ever where it was chosen.

Only for a host whose switch dies with the mains and that has no second path: `supply.py` computes
the one number that matters, `after`, from the budget. `upsmon -c fsd` on a secondary needs no
network. It is armed by the first contact after its start: a host that boots faster than its switch
is not sent down again. A rule can be wrong (somebody pulled the cable of this host alone), so own
evidence of the mains, where there is any, goes before time.

Who fires leaves an alarm, which waits on disk until somebody can be told, and a note, by which the
next contact after the boot tells that the host is back. Both are written aside: a disk that hangs
delays no stop.

Standard library only; tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn

from releve.errors import InputError
from releve.power import whole
from releve.power.spool import SPOOL, Alarm, raise_alarm
from releve.power.upsd import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.power.spool import Severity

POLL = 1.0  # seconds between two looks
ANSWER = 0.8  # seconds that an answer may take
LOOK = 1.0  # seconds within which all have to answer
MAINTENANCE = 4 * 3600  # seconds after which a forgotten maintenance file counts no more
ECHO_REQUEST, ECHO_REPLY = 8, 0
MAINS_THERE, MAINS_GONE = 0, 1  # exit codes of the evidence command; any other: not known
LOG = logging.getLogger("hostrule")


@dataclass(frozen=True, slots=True)
class Config:
    """Whom it listens for and when it acts.

    `servers` are upsds ("address", "address:port" or an IPv6 address), `others` IPv4 addresses
    that answer a ping.
    `after` seconds blind are the rule; `after_gone` when `evidence` (a command) says that the
    mains are gone. `maintenance` is a file that holds the rule off for four hours. `wake_after`
    sets the hardware clock's alarm before the stop, so that a false alarm heals itself; None: not.
    `armed` names whom it listened for when it heard somebody in this boot: a new process goes on
    from there, with the same alone. `noted` says that this rule has stopped the host. Alarms go to
    `spool`, where there is one.
    """

    servers: tuple[str, ...]
    after: float
    others: tuple[str, ...] = ()
    after_gone: float = 5.0
    evidence: tuple[str, ...] = ()
    maintenance: Path = Path("/run/releve-hostrule-off")
    wake_after: int | None = None
    wake_alarm: Path = Path("/sys/class/rtc/rtc0/wakealarm")
    fsd: tuple[str, ...] = ("/usr/sbin/upsmon", "-c", "fsd")
    armed: Path = Path("/run/releve-hostrule/armed")
    noted: Path = Path("/var/lib/releve-hostrule/stopped")
    spool: Path = SPOOL

    @property
    def listens(self) -> str:
        """Whom it listens for, in one line."""
        return " ".join((*self.servers, *self.others))

    @classmethod
    def read(cls, file: Path) -> Config:
        """Read the JSON file that the role writes; raises InputError."""
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            for name in ("servers", "others", "evidence", "fsd"):
                if name in content:
                    content[name] = tuple(content[name])
            for name in ("maintenance", "wake_alarm", "armed", "noted", "spool"):
                if name in content:
                    content[name] = Path(content[name])
            return cls(**content)
        except (OSError, ValueError, TypeError) as error:
            message = f"{file}: is no host rule ({error}); apply playbooks/power.yml"
            raise InputError(message) from error


def hears_anybody(config: Config) -> bool:
    """Tell whether an upsd takes a connection or another host answers a ping.

    All are asked at once, and none for long: behind a dead switch each takes its time, and the name
    of one that nobody resolves any more takes half a minute.
    """
    asks = [partial(_connects, one) for one in config.servers]
    asks += [partial(pings, one) for one in config.others]
    answers: SimpleQueue[bool] = SimpleQueue()
    for ask in asks:
        threading.Thread(target=lambda ask=ask: answers.put(ask()), daemon=True).start()
    end = time.monotonic() + LOOK
    with contextlib.suppress(Empty):
        return any(answers.get(timeout=max(0.0, end - time.monotonic())) for _ in asks)
    return False


def _connects(server: str) -> bool:
    try:
        socket.create_connection(place_of(server), ANSWER).close()
    except (OSError, ValueError, OverflowError):  # a place that is none hears nobody
        return False
    return True


def pings(address: str) -> bool:
    """Tell whether an IPv4 address answers an echo request; needs root."""
    ident = os.getpid() & 0xFFFF
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, ident, 1)
    total = sum(struct.unpack("!4H", head))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as link:
            link.sendto(struct.pack("!BBHHH", ECHO_REQUEST, 0, total, ident, 1), (address, 0))
            end = time.monotonic() + ANSWER
            while (left := end - time.monotonic()) > 0:
                link.settimeout(left)
                data, sender = link.recvfrom(200)
                if sender[0] == address and is_reply(data, ident):
                    return True
    except OSError:
        return False
    return False


def is_reply(packet: bytes, ident: int) -> bool:
    """Tell whether an IPv4 packet is the reply to our echo request."""
    length = (packet[0] & 0x0F) * 4 if packet else 0
    body = packet[length : length + 6]
    return len(body) == 6 and body[0] == ECHO_REPLY and body[4:] == struct.pack("!H", ident)  # noqa: PLR2004  # type, code, sum, identifier


def mains(config: Config) -> bool | None:
    """Ask own evidence: True mains are there, False they are gone, None not known."""
    if not config.evidence:
        return None
    try:
        asked = subprocess.run(
            config.evidence, check=False, timeout=5, stdin=subprocess.DEVNULL, capture_output=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {MAINS_THERE: True, MAINS_GONE: False}.get(asked.returncode)


def shut_down(config: Config) -> None:
    """Set the alarm that heals a false one, then shut this host down; raises OSError."""
    if config.wake_after is not None:
        try:
            config.wake_alarm.write_text("0\n", encoding="ascii")  # a set alarm refuses a new one
            config.wake_alarm.write_text(f"+{config.wake_after}\n", encoding="ascii")
        except OSError as error:
            LOG.warning("no alarm set, a false alarm needs hands: %s", error)
    subprocess.run(config.fsd, check=True, timeout=30, stdin=subprocess.DEVNULL)


def aside(work: Callable[[], object]) -> None:
    """Do what may hang without waiting for it."""
    with contextlib.suppress(RuntimeError):  # no thread to be had: the journal has it
        threading.Thread(target=work, daemon=True).start()


def _text(file: Path) -> str:
    """Return what a file says, nothing where there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class HostRule:
    """One look after the other; everything outside comes in by the constructor."""

    def __init__(
        self,
        config: Config,
        hears: Callable[[Config], bool] = hears_anybody,
        ask_mains: Callable[[Config], bool | None] = mains,
        act: Callable[[Config], None] = shut_down,
        clock: Callable[[], float] = time.monotonic,
        *,
        beside: Callable[[Callable[[], object]], None] = aside,
    ) -> None:
        """Start unarmed, unless an earlier process of this boot has heard somebody."""
        self.config, self._hears, self._ask, self._act = config, hears, ask_mains, act
        self._clock, self._beside = clock, beside
        self.armed = _text(config.armed) == config.listens
        self.blind_since: float | None = None
        self.fired = False
        self._told = False
        self._refused = False

    def step(self) -> None:
        """Look once and do what follows from it."""
        if self._hears(self.config):
            if self.blind_since is not None:
                LOG.warning("hears again after %.0f s", self._clock() - self.blind_since)
            self.blind_since, self._told, self._refused = None, False, False
            if not self.armed:
                self._arm()
            return
        now = self._clock()
        if not self.armed or self.fired:
            return
        if self.blind_since is None:
            self.blind_since = now
            LOG.warning("neither server nor any other host is heard")
        blind, there = now - self.blind_since, self._ask(self.config)
        if there or self._in_maintenance():
            self._tell_once(blind, "own evidence has mains" if there else "maintenance")
            return
        if blind >= (self.config.after_gone if there is False else self.config.after):
            self._fire(blind)

    def _fire(self, blind: float) -> None:
        LOG.critical("blind for %.0f s: the mains are taken as gone, this host stops", blind)
        heard = f"it has heard neither a UPS's server nor a peer for {blind:.0f} s"
        try:
            self._act(self.config)
        except (OSError, subprocess.SubprocessError) as error:
            LOG.critical("the shutdown did not begin, tried again: %s", error)
            if not self._refused:
                self._refused = True
                text = f"{heard} and its shutdown does not begin: {error}"
                self._beside(lambda: self._tell(text, "failure"))
        else:
            self.fired = True
            self._beside(lambda: self._note(f"{heard}: the mains are taken as gone, it stops"))

    def _note(self, text: str) -> None:
        """Keep for after the boot that this host has stopped itself, and tell people."""
        at = time.strftime("%Y-%m-%d %H:%M:%S %z")
        try:
            whole.write(self.config.noted, f"at {at} {text}\n")
        except OSError as error:
            LOG.warning("%s: not noted: %s", self.config.noted, error)
        self._tell(text, "failure")

    def _arm(self) -> None:
        """Go by silence from now on; the first contact of this boot tells how the last ended."""
        self.armed = True
        with contextlib.suppress(OSError):
            self.config.armed.write_text(self.config.listens, encoding="utf-8")
        self._beside(self._tell_back)

    def _tell_back(self) -> None:
        noted = _text(self.config.noted).strip()
        if not noted:
            return
        text = f"it is back and hears its UPS's server or a peer; the host rule stopped it: {noted}"
        LOG.warning("%s", text)
        if self._tell(text, "success"):
            with contextlib.suppress(OSError):
                self.config.noted.unlink()

    def _tell(self, text: str, severity: Severity) -> bool:
        """Put an alarm where it waits, where there is such a place; return whether that is done."""
        if not self.config.spool.is_dir():
            return True
        try:
            raise_alarm(Alarm("host-rule", socket.gethostname(), text, severity), self.config.spool)
        except OSError as error:
            LOG.warning("%s: %s", self.config.spool, error)
            return False
        return True

    def _tell_once(self, blind: float, why: str) -> None:
        if blind >= self.config.after and not self._told:
            self._told = True
            LOG.critical("blind for %.0f s, but nothing is done: %s", blind, why)

    def _in_maintenance(self) -> bool:
        try:
            age = time.time() - self.config.maintenance.stat().st_mtime
        except OSError:
            return False
        return abs(age) < MAINTENANCE  # a clock that was set back makes no maintenance of days


def main(arguments: list[str]) -> NoReturn:
    """Look for ever, as the file of the first argument says; raises InputError."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    rule = HostRule(Config.read(Path(arguments[0])))
    while True:
        rule.step()
        time.sleep(POLL)
