"""upsmon.conf: whether this host is stopped, when, and who cuts the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint import drivers, looks, releases
from releve.power.lint.command import Effect, effect_of, uses_sudo
from releve.power.lint.finding import Rules, Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from releve.power.lint.model import Configuration, UpsmonConf

RULES = Rules()
FILE = "upsmon.conf"
IN_MEMORY = ("/run/", "/var/run/", "/dev/shm/")  # noqa: S108  # judged, not used
SWEPT = "/tmp/"  # noqa: S108  # judged, not used
ONCE = (
    "DEADTIME", "FINALDELAY", "HOSTSYNC", "MINSUPPLIES", "NOTIFYCMD", "POLLFREQ", "POLLFREQALERT",
    "POWERDOWNFLAG", "RUN_AS_USER", "SHUTDOWNCMD", "SHUTDOWNEXIT",
)  # fmt: skip
_EVENTS = frozenset(
    [
        "ONLINE", "ONBATT", "LOWBATT", "FSD", "COMMOK", "COMMBAD", "SHUTDOWN", "REPLBATT", "NOCOMM",
        "NOPARENT", "CAL",
    ]
)  # fmt: skip


def has_event(conf: Configuration, name: str) -> bool:
    """Tell whether upsmon ever tells of an event."""
    event = name.upper()
    return event in _EVENTS or releases.EVENTS.get(event, (99, 0, 0)) <= conf.release


def flag_file(conf: UpsmonConf) -> str | None:
    """Return the kill-power flag; None when there is none, since NUT 2.8.1 has no default."""
    return conf.value("POWERDOWNFLAG") or None  # an empty one is never written


@RULES.refuse(
    "UM_NO_MONITOR",
    "upsmon watches nothing",
    "add `MONITOR UPS@HOST 1 USER PASSWORD primary` (or secondary)",
)
@looks.at_upsmon
def no_monitor(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a monitor that does not look."""
    if not upsmon.monitors:
        yield Spot(FILE)


@RULES.refuse(
    "UM_MONITOR_FATAL",
    "this MONITOR line has four words after it instead of five, and upsmon ends at once",
    "write UPS@HOST, power value, user, password, role; a # in the password ends the line",
)
@looks.at_upsmon
def monitor_fatal(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find the old style, or a line that a # has cut."""
    yield from (Spot(FILE, line) for line in upsmon.fatal)


@RULES.warn(
    "UM_MONITOR_IGNORED",
    "upsmon ignores this MONITOR line",
    "write each UPS once: UPS@HOST, power value, user, password, role",
)
@looks.at_upsmon
def monitor_useless(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a line that is incomplete, or there twice."""
    yield from (Spot(FILE, line) for line in upsmon.useless)


@RULES.warn(
    "UM_ROLE_UNKNOWN",
    "this MONITOR line has {at} where primary or secondary belongs, and is a secondary by that",
    "write UPS@HOST, power value, user, password, role; a blank or = in the password shifts them",
)
def role_unknown(conf: Configuration) -> Iterator[Spot]:
    """Find a line whose words are not where they should be; the word may be half a password."""
    for one in conf.monitors:
        if not one.role_known:
            yield Spot(FILE, one.line, '"="' if one.role == "=" else "another word")


@RULES.refuse(
    "UM_POWER_TOO_LOW",
    "the power values add up to {at}: upsmon ends at once",
    "give each UPS the number of this host's supplies that it feeds, and MINSUPPLIES what the host"
    " needs",
)
@looks.at_upsmon
def power_too_low(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find what upsmon calls an impossible power configuration."""
    least = upsmon.number("MINSUPPLIES", 1)
    if upsmon.monitors and upsmon.supplies < least:
        yield Spot(FILE, at=f"{upsmon.supplies}, less than MINSUPPLIES ({least})")


@RULES.refuse(
    "UM_NEVER_STOPS",
    "with MINSUPPLIES 0 no loss of power ever stops this host",
    "set MINSUPPLIES to the number of supplies that the host needs",
)
@looks.at_upsmon
def never_stops(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a monitor that only looks."""
    if upsmon.number("MINSUPPLIES", 1) == 0:
        yield looks.at_directive(upsmon, "MINSUPPLIES")


@RULES.warn(
    "UM_POWERVALUE_ZERO",
    "{at} has power value 0: it is watched and never a reason to stop",
    "give it the number of this host's supplies that it feeds",
)
def power_zero(conf: Configuration) -> Iterator[Spot]:
    """Find a supply that does not count; a UPS of our own making only holds others back."""
    for one in conf.monitors:
        section = conf.section_of(one)
        virtual = section is not None and section.driver in drivers.OURS
        if one.power == 0 and not virtual:
            yield Spot(FILE, one.line, one.system)


@RULES.refuse(
    "UM_NO_SHUTDOWNCMD",
    "there is no SHUTDOWNCMD: this host is never stopped",
    'add SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
@looks.at_upsmon
def no_command(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a host that is left to its end."""
    if upsmon.value("SHUTDOWNCMD") is None:
        yield Spot(FILE)


def _commands_that(is_wrong: Callable[[str], bool]) -> looks.Find:
    """Return what finds a SHUTDOWNCMD of some kind."""

    @looks.at_upsmon
    def find(upsmon: UpsmonConf) -> Iterator[Spot]:
        command = upsmon.value("SHUTDOWNCMD")
        if command is not None and is_wrong(command):
            yield looks.at_directive(upsmon, "SHUTDOWNCMD")

    return find


RULES.refuse(
    "UM_SHUTDOWNCMD_NOOP",
    "SHUTDOWNCMD stops nothing (NUT takes only its first word, or what is in quotes)",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)(_commands_that(lambda command: effect_of(command) is Effect.NOTHING))


RULES.refuse(
    "UM_SHUTDOWNCMD_CUTS",
    "SHUTDOWNCMD sends the cut to the UPS while this host and others still run",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0" and leave the cut to the late hook',
)(_commands_that(lambda command: effect_of(command) is Effect.CUTS))


RULES.refuse(
    "UM_SHUTDOWNCMD_REBOOTS",
    "SHUTDOWNCMD restarts this host: it is up again when the output goes off",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)(_commands_that(lambda command: effect_of(command) is Effect.REBOOTS))


RULES.warn(
    "UM_SHUTDOWNCMD_SUDO",
    "SHUTDOWNCMD asks sudo, which may be absent or ask back; root runs it anyway",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)(_commands_that(uses_sudo))


RULES.warn(
    "UM_SHUTDOWN_PLUS_ONE_MINUTE",
    "`shutdown` without a time, or with a later one, waits a minute or more on battery",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0", with the quotes',
)(_commands_that(lambda command: effect_of(command) is Effect.LATE))


@RULES.refuse(
    "UM_NO_POWERDOWNFLAG",
    "a primary without POWERDOWNFLAG never cuts the UPS: hosts stay off when the mains come back"
    " first",
    "set POWERDOWNFLAG /run/nut/killpower",
)
def no_flag(conf: Configuration) -> Iterator[Spot]:
    """Find a primary that does not cut."""
    leads = any(one.is_primary for one in conf.monitors)
    if conf.upsmon and leads and flag_file(conf.upsmon) is None:
        yield Spot(FILE)


def _flag_spot(conf: Configuration) -> tuple[str, Spot] | None:
    found = conf.upsmon.last("POWERDOWNFLAG") if conf.upsmon else None
    return (found.words[1], Spot(FILE, found.number)) if found and found.words[1] else None


@RULES.note(
    "UM_FLAG_SURVIVES_BOOT",
    "the kill-power flag lies on disk and may outlive a boot",
    "set POWERDOWNFLAG /run/nut/killpower",
)
def flag_on_disk(conf: Configuration) -> Iterator[Spot]:
    """Find a flag that could stay."""
    found = _flag_spot(conf)
    if found and not found[0].startswith(IN_MEMORY):
        yield found[1]


@RULES.refuse(
    "UM_FLAG_GONE",
    "the kill-power flag lies in {at}, which Debian 13 has in memory and takes away before the late"
    " hook looks for it: the UPS is never cut",
    "set POWERDOWNFLAG /run/nut/killpower",
)
def flag_gone(conf: Configuration) -> Iterator[Spot]:
    """Find a flag that is gone when it counts: /tmp is a file system of its own since Debian 13."""
    found = _flag_spot(conf)
    leads = any(one.is_primary for one in conf.monitors)
    if found and leads and conf.release >= releases.DEBIAN_13 and found[0].startswith(SWEPT):
        yield Spot(FILE, found[1].line, SWEPT)


@RULES.warn(
    "UM_FLAG_ON_SECONDARY",
    "a secondary leaves a kill-power flag on its disk, which cuts if a driver is ever set up here",
    "set POWERDOWNFLAG /run/nut/killpower, where it dies with the boot",
)
def flag_on_secondary(conf: Configuration) -> Iterator[Spot]:
    """Find a flag where nobody shall cut."""
    found = _flag_spot(conf)
    follows = conf.monitors and not any(one.is_primary for one in conf.monitors)
    if found and follows and not found[0].startswith(IN_MEMORY):
        yield found[1]


@RULES.warn(
    "UM_RUN_AS_ROOT",
    "all of upsmon runs as root",
    "leave RUN_AS_USER out: a small parent as root is enough",
)
@looks.at_upsmon
def as_root(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a monitor with too many rights."""
    if upsmon.value("RUN_AS_USER") == "root":
        yield looks.at_directive(upsmon, "RUN_AS_USER")


@RULES.refuse(
    "UM_RUN_AS_NOBODY",
    "this host has no user {at} for RUN_AS_USER: upsmon ends at once",
    "leave RUN_AS_USER out",
)
def as_nobody(conf: Configuration) -> Iterator[Spot]:
    """Find a user that get_user_pwent() does not."""
    if conf.upsmon and conf.facts.run_as_exists is False:
        yield looks.at_directive(conf.upsmon, "RUN_AS_USER", conf.upsmon.value("RUN_AS_USER") or "")


@RULES.warn(
    "UM_RUN_AS_OTHER",
    "upsmon shall run as {at}: unless the host has that user, and lets it read upsmon.conf, upsmon"
    " ends at once or never reloads",
    "leave RUN_AS_USER out: Debian's NUT runs as user nut",
)
def as_other(conf: Configuration) -> Iterator[Spot]:
    """Find a user of another system."""
    found = conf.upsmon.value("RUN_AS_USER") if conf.upsmon else None
    if conf.upsmon and found not in (None, "nut", "root") and conf.facts.run_as_exists is None:
        yield looks.at_directive(conf.upsmon, "RUN_AS_USER", found or "")


@RULES.warn(
    "UM_DUPLICATE",
    "{at} is given more than once: the last one counts",
    "keep one",
)
@looks.at_upsmon
def duplicate(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a setting with two values."""
    for name in ONCE:
        if len(upsmon.all(name)) > 1:
            yield looks.at_directive(upsmon, name, name)


@RULES.warn(
    "UM_UNKNOWN_DIRECTIVE",
    "upsmon {nut} does not know {at} and goes on without it",
    "see upsmon.conf(5) of NUT {nut}; capitals and the number of words count",
)
@looks.at_upsmon
def unknown_directive(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a wish without effect."""
    for one in upsmon.unknown:
        named = releases.with_release(one.name, releases.UPSMON)
        yield Spot(FILE, one.line, named if one.shown else "this line")


@RULES.warn(
    "UM_EQUALS",
    "upsmon takes the equals sign for the value of {at}, and leaves out what follows",
    'write the name, a blank and the value, as SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
@looks.at_upsmon
def equals(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a line that is written as in ups.conf."""
    for line in upsmon.settings:
        if line.words[1] == "=":
            yield Spot(FILE, line.number, line.words[0])


@RULES.warn(
    "UM_LINE_BROKEN",
    "upsmon cannot read this line and goes on without it",
    "a # in quotes needs a backslash before it; passwords are best of A-Z a-z 0-9 _ -",
)
@looks.at_upsmon
def broken(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a line that the parser gave up."""
    yield from (Spot(FILE, line) for line in upsmon.broken)
