"""upsmon.conf: whether this host is stopped, when, and who cuts the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint import drivers
from releve.power.lint.command import Effect, effect_of, uses_sudo
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.parse import atoi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration, UpsmonConf

RULES = Rules()
FILE = "upsmon.conf"
IN_MEMORY = ("/run/", "/var/run/", "/dev/shm/")  # noqa: S108  # judged, not used
ONCE = (
    "DEADTIME", "FINALDELAY", "HOSTSYNC", "MINSUPPLIES", "NOTIFYCMD", "POLLFREQ", "POLLFREQALERT",
    "POWERDOWNFLAG", "RUN_AS_USER", "SHUTDOWNCMD", "SHUTDOWNEXIT",
)  # fmt: skip
EVENTS = frozenset(
    [
        "ONLINE",
        "ONBATT",
        "LOWBATT",
        "FSD",
        "COMMOK",
        "COMMBAD",
        "SHUTDOWN",
        "REPLBATT",
        "NOCOMM",
        "NOPARENT",
        "CAL",
        "OFF",
        "NOTOFF",
        "BYPASS",
        "NOTBYPASS",
    ]
)
HOSTSYNC_LEAST, FINALDELAY_MOST, DEADTIME_MOST = 15, 30, 120  # seconds


def flag_file(conf: UpsmonConf) -> str | None:
    """Return the kill-power flag; None when there is none, since NUT 2.8.1 has no default."""
    return conf.value("POWERDOWNFLAG") or None  # an empty one is never written


def _command(conf: Configuration) -> tuple[str | None, int]:
    found = conf.upsmon.last("SHUTDOWNCMD") if conf.upsmon else None
    return (found.words[1], found.number) if found else (None, 0)


@RULES.refuse(
    "UM_NO_MONITOR",
    "upsmon watches nothing",
    "add `MONITOR UPS@HOST 1 USER PASSWORD primary` (or secondary)",
)
def no_monitor(conf: Configuration) -> Iterator[Spot]:
    """Find a monitor that does not look."""
    if conf.upsmon and not conf.upsmon.monitors:
        yield Spot(FILE)


@RULES.refuse(
    "UM_MONITOR_FATAL",
    "this MONITOR line has four words after it instead of five, and upsmon ends at once",
    "write UPS@HOST, power value, user, password, role; a # in the password ends the line",
)
def monitor_fatal(conf: Configuration) -> Iterator[Spot]:
    """Find the old style, or a line that a # has cut."""
    yield from (Spot(FILE, line) for line in (conf.upsmon.fatal if conf.upsmon else ()))


@RULES.warn(
    "UM_MONITOR_IGNORED",
    "upsmon ignores this MONITOR line",
    "write each UPS once: UPS@HOST, power value, user, password, role",
)
def monitor_useless(conf: Configuration) -> Iterator[Spot]:
    """Find a line that is incomplete, or there twice."""
    yield from (Spot(FILE, line) for line in (conf.upsmon.useless if conf.upsmon else ()))


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
def power_too_low(conf: Configuration) -> Iterator[Spot]:
    """Find what upsmon calls an impossible power configuration."""
    if conf.upsmon and conf.upsmon.monitors:
        least = conf.upsmon.number("MINSUPPLIES", 1)
        if least >= 0 and conf.upsmon.supplies < least:
            yield Spot(FILE, at=f"{conf.upsmon.supplies}, less than MINSUPPLIES ({least})")


@RULES.refuse(
    "UM_NEVER_STOPS",
    "with MINSUPPLIES 0 no loss of power ever stops this host",
    "set MINSUPPLIES to the number of supplies that the host needs",
)
def never_stops(conf: Configuration) -> Iterator[Spot]:
    """Find a monitor that only looks."""
    if conf.upsmon and conf.upsmon.number("MINSUPPLIES", 1) == 0:
        found = conf.upsmon.last("MINSUPPLIES")
        yield Spot(FILE, found.number if found else 0)


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
def no_command(conf: Configuration) -> Iterator[Spot]:
    """Find a host that is left to its end."""
    if conf.upsmon and _command(conf)[0] is None:
        yield Spot(FILE)


@RULES.refuse(
    "UM_SHUTDOWNCMD_NOOP",
    "SHUTDOWNCMD stops nothing (NUT takes only its first word, or what is in quotes)",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
def command_idle(conf: Configuration) -> Iterator[Spot]:
    """Find a command that does nothing."""
    command, line = _command(conf)
    if command is not None and effect_of(command) is Effect.NOTHING:
        yield Spot(FILE, line)


@RULES.refuse(
    "UM_SHUTDOWNCMD_CUTS",
    "SHUTDOWNCMD sends the cut to the UPS while this host and others still run",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0" and leave the cut to the late hook',
)
def command_cuts(conf: Configuration) -> Iterator[Spot]:
    """Find a command that takes the power away."""
    command, line = _command(conf)
    if command is not None and effect_of(command) is Effect.CUTS:
        yield Spot(FILE, line)


@RULES.refuse(
    "UM_SHUTDOWNCMD_REBOOTS",
    "SHUTDOWNCMD restarts this host: it is up again when the output goes off",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
def command_reboots(conf: Configuration) -> Iterator[Spot]:
    """Find a command that brings the host back."""
    command, line = _command(conf)
    if command is not None and effect_of(command) is Effect.REBOOTS:
        yield Spot(FILE, line)


@RULES.warn(
    "UM_SHUTDOWNCMD_SUDO",
    "SHUTDOWNCMD asks sudo, which may be absent or ask back; root runs it anyway",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
def command_sudo(conf: Configuration) -> Iterator[Spot]:
    """Find a command that may ask for a password."""
    command, line = _command(conf)
    if command is not None and uses_sudo(command):
        yield Spot(FILE, line)


@RULES.warn(
    "UM_SHUTDOWN_PLUS_ONE_MINUTE",
    "`shutdown` without a time, or with a later one, waits a minute or more on battery",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0", with the quotes',
)
def command_late(conf: Configuration) -> Iterator[Spot]:
    """Find a command that waits."""
    command, line = _command(conf)
    if command is not None and effect_of(command) is Effect.LATE:
        yield Spot(FILE, line)


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
def as_root(conf: Configuration) -> Iterator[Spot]:
    """Find a monitor with too many rights."""
    found = conf.upsmon.last("RUN_AS_USER") if conf.upsmon else None
    if found and found.words[1] == "root":
        yield Spot(FILE, found.number)


@RULES.warn(
    "UM_DUPLICATE",
    "{at} is given more than once: the last one counts",
    "keep one",
)
def duplicate(conf: Configuration) -> Iterator[Spot]:
    """Find a setting with two values."""
    for name in ONCE if conf.upsmon else ():
        found = conf.upsmon.all(name) if conf.upsmon else []
        if len(found) > 1:
            yield Spot(FILE, found[-1].number, name)


@RULES.warn(
    "UM_UNKNOWN_DIRECTIVE",
    "upsmon 2.8.1 does not know {at} and goes on without it",
    "see upsmon.conf(5) of NUT 2.8.1; capitals and the number of words count",
)
def unknown_directive(conf: Configuration) -> Iterator[Spot]:
    """Find a wish without effect."""
    for one in conf.upsmon.unknown if conf.upsmon else ():
        yield Spot(FILE, one.line, one.name if one.shown else "this line")


@RULES.warn(
    "UM_LINE_BROKEN",
    "upsmon cannot read this line and goes on without it",
    "a # in quotes needs a backslash before it; passwords are best of A-Z a-z 0-9 _ -",
)
def broken(conf: Configuration) -> Iterator[Spot]:
    """Find a line that the parser gave up."""
    yield from (Spot(FILE, line) for line in (conf.upsmon.broken if conf.upsmon else ()))


@RULES.warn(
    "UM_BAD_FLAG",
    "NOTIFYFLAG and NOTIFYMSG of NUT 2.8.1 know no {at}",
    "join SYSLOG, WALL, EXEC or IGNORE with + and no blank, after an event of upsmon.conf(5)",
)
def bad_flag(conf: Configuration) -> Iterator[Spot]:
    """Find a flag or an event that upsmon ignores."""
    for line in conf.upsmon.settings if conf.upsmon else ():
        if line.words[0] in ("NOTIFYFLAG", "NOTIFYMSG"):
            wrong = [] if line.words[1].upper() in EVENTS else [line.words[1]]
            if line.words[0] == "NOTIFYFLAG":
                flags = [*line.words[2].split("+"), *line.words[3:]]
                known = ("SYSLOG", "WALL", "EXEC", "IGNORE")
                wrong += [one for one in flags if one not in known or one in line.words[3:]]
            yield from (Spot(FILE, line.number, one) for one in wrong)


@RULES.note(
    "UM_EXEC_WITHOUT_NOTIFYCMD",
    "an event has EXEC and there is no NOTIFYCMD to execute",
    "add NOTIFYCMD, or leave EXEC out",
)
def exec_nothing(conf: Configuration) -> Iterator[Spot]:
    """Find a call of nothing."""
    if conf.upsmon and conf.upsmon.value("NOTIFYCMD") is None:
        flags = conf.upsmon.all("NOTIFYFLAG")
        found = [line for line in flags if "EXEC" in line.words[2].split("+")]
        yield from (Spot(FILE, line.number) for line in found[:1])


@RULES.warn(
    "UM_HOSTSYNC_DEFAULT",
    "clients may log in, and the primary waits {at} s for them",
    "set HOSTSYNC to the longest stop of a client, as the budget says",
)
def hostsync(conf: Configuration) -> Iterator[Spot]:
    """Find a primary that leaves too early."""
    names = ("slave", "secondary")
    users = conf.users.users if conf.users else ()
    expected = any(role.lower() in names for user in users for role in user.roles)
    if conf.upsmon and expected:
        seconds = conf.upsmon.number("HOSTSYNC", HOSTSYNC_LEAST)
        if seconds <= HOSTSYNC_LEAST:
            found = conf.upsmon.last("HOSTSYNC")
            yield Spot(FILE, found.number if found else 0, str(seconds))


@RULES.warn(
    "UM_FINALDELAY_LONG",
    "FINALDELAY spends {at} s of battery after the decision",
    "set FINALDELAY to 5",
)
def finaldelay(conf: Configuration) -> Iterator[Spot]:
    """Find a delay that burns battery."""
    found = conf.upsmon.last("FINALDELAY") if conf.upsmon else None
    if conf.upsmon and found and conf.upsmon.number("FINALDELAY", 0) > FINALDELAY_MOST:
        yield Spot(FILE, found.number, str(conf.upsmon.number("FINALDELAY", 0)))


@RULES.warn(
    "UM_DEADTIME_HUGE",
    "a UPS that is silent on battery is waited for {at} s",
    "set DEADTIME to three times the slower of POLLFREQ and POLLFREQALERT",
)
def deadtime(conf: Configuration) -> Iterator[Spot]:
    """Find a patience that outlasts the battery."""
    found = conf.upsmon.last("DEADTIME") if conf.upsmon else None
    if conf.upsmon and found and conf.upsmon.number("DEADTIME", 0) > DEADTIME_MOST:
        yield Spot(FILE, found.number, str(conf.upsmon.number("DEADTIME", 0)))


@RULES.warn(
    "UM_POLL_INVALID",
    "{at} is not a number of seconds above 0: upsmon polls without a pause",
    "set POLLFREQ and POLLFREQALERT to 5 or less",
)
def poll_invalid(conf: Configuration) -> Iterator[Spot]:
    """Find a pause of nothing; a negative one is ignored."""
    for name in ("POLLFREQ", "POLLFREQALERT") if conf.upsmon else ():
        found = conf.upsmon.last(name) if conf.upsmon else None
        if found and atoi(found.words[1]) == 0:
            yield Spot(FILE, found.number, name)


@RULES.warn(
    "UM_DEADTIME_SHORT",
    "DEADTIME is not above POLLFREQ and POLLFREQALERT: each poll that is late makes a dead UPS",
    "set DEADTIME to three times the slower of POLLFREQ and POLLFREQALERT",
)
def deadtime_short(conf: Configuration) -> Iterator[Spot]:
    """Find a patience of less than one poll."""
    if conf.upsmon:
        slowest = max(conf.upsmon.number("POLLFREQ", 5), conf.upsmon.number("POLLFREQALERT", 5))
        found = conf.upsmon.last("DEADTIME") or conf.upsmon.last("POLLFREQ")
        if conf.upsmon.number("DEADTIME", 15) <= slowest:
            yield Spot(FILE, found.number if found else 0)
