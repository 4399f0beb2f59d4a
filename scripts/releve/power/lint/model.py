"""What a directory of NUT files says, in types; and what is known of the host that it is for.

Passwords are kept because two files must agree on them; no repr and no finding shows one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.power.lint.address import (
    EVERYWHERE,
    PORT,
    alike,
    is_loopback,
    same_port,
    shadows,
    takes,
)
from releve.power.lint.parse import atoi
from releve.power.lint.releases import DEBIAN_13, Release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.parse import Line
    from releve.power.lint.shell import Shell
    from releve.power.lint.units import Units

FILES = ("nut.conf", "ups.conf", "upsd.conf", "upsd.users", "upsmon.conf", "upssched.conf")
_PRIMARY = ("primary", "master")
ROLES = (*_PRIMARY, "secondary", "slave")
# Of upsmon.conf: a negative value is ignored, and what stood there before holds.
NOT_NEGATIVE = frozenset(
    ["FINALDELAY", "MINSUPPLIES", "POLLFAIL_LOG_THROTTLE_MAX", "POLLFREQ", "POLLFREQALERT"]
)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a section or of a file: `value` is None for a flag; `shown` may be printed."""

    name: str
    value: str | None
    line: int
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """A device of ups.conf; sections of one name are one device, its last settings win."""

    name: str
    line: int
    options: tuple[Option, ...]

    def find(self, name: str) -> Option | None:
        """Return the setting of a name that wins; capitals do not matter to drivers."""
        found = [one for one in self.options if one.name.lower() == name.lower()]
        return found[-1] if found else None

    def value(self, name: str) -> str | None:
        """Return its value, None when there is none."""
        found = self.find(name)
        return found.value if found else None

    @property
    def driver(self) -> str:
        """The driver's name, empty when there is none."""
        return self.value("driver") or ""


@dataclass(frozen=True, slots=True)
class UpsConf:
    """ups.conf: `repeats` are headers that open a section again, `ignored` lines have no use."""

    globals: tuple[Option, ...]
    sections: tuple[Section, ...]
    repeats: tuple[tuple[str, int], ...]
    ignored: tuple[int, ...]
    broken: tuple[int, ...]

    def section(self, name: str) -> Section | None:
        """Return a device; upsd does not mind capitals."""
        return next((one for one in self.sections if one.name.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and a port that upsd opens."""

    address: str
    port: str
    line: int


@dataclass(frozen=True, slots=True)
class UpsdConf:
    """upsd.conf; `values` keeps each directive's last words."""

    listens: tuple[Listen, ...]
    values: dict[str, Line]
    unknown: tuple[Option, ...]
    broken: tuple[int, ...]

    def hears(self, address: str, port: str, localhost: str = "::1") -> bool:
        """Tell whether a connection to an address and a port finds upsd, or may find it.

        `localhost`: the first address of that name.
        """
        listens = self.listens or tuple(Listen(one, PORT, 0) for one in ("::1", "127.0.0.1"))
        lost = [one for one, _first in self.shadowed(localhost) if one.address != "*"]
        return any(
            takes(one.address, address, localhost) is not False
            for one in listens
            if same_port(one.port, port) and one not in lost
        )

    def shadowed(self, localhost: str = "::1") -> Iterator[tuple[Listen, Listen]]:
        """Yield what upsd does not get since an earlier line has an address of it, and that one."""
        for number, one in enumerate(self.listens):
            for first in self.listens[:number]:
                if first.port == one.port and shadows(first.address, one.address, localhost):
                    yield one, first
                    break


@dataclass(frozen=True, slots=True)
class User:
    """A user of upsd: `roles` as written after `upsmon`.

    `cut` when a # shortened the password, `short` when a blank or = did: upsd leaves the rest out.
    """

    name: str
    line: int
    password: str | None = field(repr=False)
    password_line: int
    cut: bool
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    commands: tuple[str, ...]
    short: bool = False

    @property
    def may_login(self) -> bool:
        """Whether upsd takes its LOGIN: that needs an upsmon role and a password."""
        named = any(role.lower() in ROLES for role in self.roles)
        return self.password is not None and (named or "login" in self._actions)

    @property
    def may_lead(self) -> bool:
        """Whether it may set FSD, as a primary must."""
        named = any(role.lower() in _PRIMARY for role in self.roles)
        return self.password is not None and (named or {"master", "fsd"} <= self._actions)

    @property
    def _actions(self) -> frozenset[str]:
        return frozenset(action.lower() for action in self.actions)


@dataclass(frozen=True, slots=True)
class UsersConf:
    """upsd.users; `again` are headers of a user that was there already: upsd ignores those."""

    users: tuple[User, ...]
    again: tuple[tuple[str, int], ...]
    unknown: tuple[Option, ...]
    broken: tuple[int, ...]

    def user(self, name: str) -> User | None:
        """Return a user; here capitals matter."""
        return next((one for one in self.users if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Monitor:
    """A MONITOR line: which UPS at which upsd, feeding how many of this host's supplies."""

    line: int
    system: str
    ups: str
    host: str
    port: str
    power: int
    user: str
    password: str = field(repr=False)
    role: str

    @property
    def is_primary(self) -> bool:
        """Whether this host sets FSD and cuts the output; any other word is a secondary."""
        return self.role.lower() in _PRIMARY

    @property
    def role_known(self) -> bool:
        """Whether the word is one of NUT's, and not what happens to stand there."""
        return self.role.lower() in ROLES


@dataclass(frozen=True, slots=True)
class UpsmonConf:
    """upsmon.conf: `fatal` MONITOR lines end upsmon, `useless` ones are ignored."""

    monitors: tuple[Monitor, ...]
    fatal: tuple[int, ...]
    useless: tuple[int, ...]
    settings: tuple[Line, ...]  # every directive that upsmon knows, in order
    unknown: tuple[Option, ...]
    broken: tuple[int, ...]

    def all(self, name: str) -> list[Line]:
        """Return the lines of one directive."""
        return [line for line in self.settings if line.words[0] == name]

    def last(self, name: str) -> Line | None:
        """Return the line of a directive that wins."""
        found = self.all(name)
        return found[-1] if found else None

    def value(self, name: str) -> str | None:
        """Return the first word of the directive that wins."""
        found = self.last(name)
        return found.words[1] if found else None

    def number(self, name: str, default: int) -> int:
        """Return a directive as NUT's atoi reads it; of some it leaves out what is negative."""
        said = [atoi(line.words[1]) for line in self.all(name)]
        taken = [one for one in said if one >= 0 or name not in NOT_NEGATIVE]
        return taken[-1] if taken else default

    @property
    def stays(self) -> bool:
        """Whether upsmon keeps its login while its host stops, by SHUTDOWNEXIT."""
        said = (self.value("SHUTDOWNEXIT") or "yes").lower()
        return said in ("no", "off", "false") or atoi(said) != 0

    def executes(self, event: str) -> bool:
        """Tell whether NOTIFYCMD is called for an event; without a flag it is not."""
        flags = [one for one in self.all("NOTIFYFLAG") if one.words[1].upper() == event.upper()]
        words = flags[-1].words[2].split("+") if flags else []
        return "EXEC" in words and "IGNORE" not in words

    @property
    def supplies(self) -> int:
        """The sum of the power values."""
        return sum(one.power for one in self.monitors)


@dataclass(frozen=True, slots=True)
class At:
    """An AT line of upssched.conf."""

    line: int
    event: str
    pattern: str
    command: str
    first: str
    second: str | None

    @property
    def seconds(self) -> int:
        """When a timer of this line runs out."""
        return atoi(self.second or "0")


@dataclass(frozen=True, slots=True)
class SchedConf:
    """upssched.conf: `early` AT lines stand before what they need, which ends upssched."""

    values: dict[str, Option]
    ats: tuple[At, ...]
    early: tuple[int, ...]
    unknown: tuple[Option, ...]
    broken: tuple[int, ...]

    def starts(self) -> Iterator[At]:
        """Yield the lines that start a timer."""
        return (one for one in self.ats if one.command == "START-TIMER")

    def cancels(self) -> Iterator[At]:
        """Yield the lines that cancel one."""
        return (one for one in self.ats if one.command == "CANCEL-TIMER")


@dataclass(frozen=True, slots=True)
class Access:
    """Mode, owner and group of a file."""

    mode: int
    owner: str
    group: str

    def reads(self, user: str) -> bool:
        """Tell whether a user reads it, who is in the group of its own name only."""
        return bool(
            (self.owner == user and self.mode & 0o400)
            or (self.group == user and self.mode & 0o040)
            or self.mode & 0o004
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the host; None means not known, and no rule then judges it.

    `live`: the directory is a host's own, so that a file which is not there is missing. `release`:
    of its NUT.
    """

    live: bool = False
    release: Release | None = None
    addresses: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    drivers: frozenset[str] | None = None
    access: dict[str, Access] = field(default_factory=dict)
    flag_exists: bool | None = None
    run_as_exists: bool | None = None  # the user of RUN_AS_USER
    paths: dict[str, bool] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One host's NUT files; a file that is not there is None."""

    nut: Shell | None = None
    ups: UpsConf | None = None
    upsd: UpsdConf | None = None
    users: UsersConf | None = None
    upsmon: UpsmonConf | None = None
    sched: SchedConf | None = None
    facts: Facts = field(default_factory=Facts)
    units: Units | None = None  # None: no file of systemd was beside
    server: Configuration | None = None  # of the host that its MONITOR lines name

    @property
    def mode(self) -> str | None:
        """MODE as upsd and upsmon are started with; None when nut.conf is not there or says none.

        What the shell does not understand comes from systemd, which reads the file as well. None,
        too, where a command works it out.
        """
        if self.nut is None or "MODE" in self.nut.computed:
            return None
        meant = next((one.value for one in self.nut.strays if one.name == "MODE"), None)
        return self.nut.values.get("MODE", meant)

    @property
    def release(self) -> Release:
        """The NUT that reads the files: Debian 13's, unless another is known."""
        return self.facts.release or DEBIAN_13

    @property
    def sections(self) -> tuple[Section, ...]:
        """The devices of ups.conf."""
        return self.ups.sections if self.ups else ()

    @property
    def monitors(self) -> tuple[Monitor, ...]:
        """The MONITOR lines that upsmon takes."""
        return self.upsmon.monitors if self.upsmon else ()

    def is_own(self, host: str) -> bool:
        """Tell whether a host of a MONITOR line is this one."""
        listens = self.upsd.listens if self.upsd and self.mode != "netclient" else ()
        own = {one.address for one in listens} - EVERYWHERE
        known = own | (self.facts.addresses or frozenset()) | self.facts.names
        return is_loopback(host) or alike(host) in {alike(one) for one in known}

    @property
    def localhost(self) -> str:
        """The first address of that name: Debian's is of version 6, where the host has one."""
        known = self.facts.addresses
        return "::1" if known is None or "::1" in known else "127.0.0.1"

    @property
    def driver_options(self) -> tuple[Option, ...]:
        """Every option of ups.conf, before and in the sections."""
        top = self.ups.globals if self.ups else ()
        return (*top, *(option for one in self.sections for option in one.options))

    def section_of(self, monitor: Monitor) -> Section | None:
        """Return the device that a MONITOR line of this host's own upsd means."""
        return self.ups.section(monitor.ups) if self.ups and self.is_own(monitor.host) else None
