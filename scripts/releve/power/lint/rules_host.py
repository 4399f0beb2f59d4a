"""The host around the files: who may read them, and what a shutdown has left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint.finding import Rules, Spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration

RULES = Rules()
SCRIPTS = ("NOTIFYCMD", "CMDSCRIPT")  # what they call may stop hosts, or tell of it
SECRETS = ("ups.conf", "upsd.users", "upsmon.conf")
DAEMON = "nut"  # Debian's user of drivers, upsd and upsmon
_WRITE = 0o022
_OTHERS = 0o004


def _unreadable(conf: Configuration, file: str, user: str = DAEMON) -> Iterator[Spot]:
    access = conf.facts.access.get(file)
    if access is not None and not access.reads(user):
        yield Spot(file, at=f"{access.mode & 0o7777:04o} {access.owner}:{access.group}")


@RULES.refuse(
    "FM_UPSMON_UNREADABLE",
    "user nut cannot read upsmon.conf ({at}): upsmon starts, and each later reload fails unseen",
    "chown root:nut and chmod 0640",
)
def upsmon_unreadable(conf: Configuration) -> Iterator[Spot]:
    """Find a file that upsmon reads once, as root."""
    user = (conf.upsmon.value("RUN_AS_USER") if conf.upsmon else None) or DAEMON
    if user != "root":
        yield from _unreadable(conf, "upsmon.conf", user)


@RULES.refuse(
    "FM_USERS_UNREADABLE",
    "user nut cannot read upsd.users ({at}): upsd runs with no users and refuses every login",
    "chown root:nut and chmod 0640",
)
def users_unreadable(conf: Configuration) -> Iterator[Spot]:
    """Find a file that upsd cannot open."""
    yield from _unreadable(conf, "upsd.users")


@RULES.refuse(
    "FM_UNREADABLE",
    "user nut cannot read this file ({at}): drivers, upsd or upssched do not start, or not again",
    "chown root:nut and chmod 0640",
)
def unreadable(conf: Configuration) -> Iterator[Spot]:
    """Find another file that its program cannot open."""
    for file in ("ups.conf", "upsd.conf", "upssched.conf"):
        yield from _unreadable(conf, file)


@RULES.warn(
    "FM_WORLD_READABLE",
    "everybody on this host can read the passwords in this file ({at})",
    "chown root:nut and chmod 0640",
)
def world_readable(conf: Configuration) -> Iterator[Spot]:
    """Find a password that lies open."""
    for file in SECRETS:
        access = conf.facts.access.get(file)
        if access is not None and access.mode & _OTHERS:
            yield Spot(file, at=f"{access.mode & 0o7777:04o}")


@RULES.warn(
    "FM_WRITABLE",
    "others than root may change this file ({at}), and root runs what it says",
    "chown root:nut and chmod 0640",
)
def writable(conf: Configuration) -> Iterator[Spot]:
    """Find a way to become root."""
    for file, access in sorted(conf.facts.access.items()):
        if access.owner != "root" or access.mode & _WRITE:
            yield Spot(file, at=f"{access.mode & 0o7777:04o} {access.owner}:{access.group}")


@RULES.refuse(
    "FM_MISSING",
    "this file is not there, and what reads it does not start",
    "write it; the role nut_primary or nut_secondary does",
)
def missing(conf: Configuration) -> Iterator[Spot]:
    """Find a file that the mode needs."""
    if conf.facts.live:
        there = {
            "nut.conf": conf.nut, "ups.conf": conf.ups, "upsd.conf": conf.upsd,
            "upsd.users": conf.users, "upsmon.conf": conf.upsmon,
        }  # fmt: skip
        needed = ["nut.conf", "upsmon.conf"]
        if conf.mode in ("standalone", "netserver"):
            needed += ["ups.conf", "upsd.conf", "upsd.users"]
        yield from (Spot(name) for name in needed if there[name] is None)


@RULES.refuse(
    "HS_KILLPOWER_STRAY",
    "the kill-power flag is there while the host runs: its next power-off cuts the output for all",
    "remove the file, then restart nut-server and nut-monitor, on the primary first",
)
def stray_flag(conf: Configuration) -> Iterator[Spot]:
    """Find what a shutdown, or a drill, has left behind."""
    found = conf.upsmon.last("POWERDOWNFLAG") if conf.upsmon else None
    if conf.facts.flag_exists:
        yield Spot("upsmon.conf", found.number if found else 0)


@RULES.refuse(
    "UM_SHUTDOWNCMD_ABSENT",
    "{at} is no program on this host: SHUTDOWNCMD stops nothing",
    'write SHUTDOWNCMD "/sbin/shutdown -h +0"',
)
def command_absent(conf: Configuration) -> Iterator[Spot]:
    """Find a command that nobody can run."""
    yield from _absent(conf, "SHUTDOWNCMD")


@RULES.warn(
    "HS_SCRIPT_ABSENT",
    "{at} is no program on this host: what it should do or tell is not done",
    "put it there, owned by root and executable, or name the right one",
)
def script_absent(conf: Configuration) -> Iterator[Spot]:
    """Find a script that nobody can run."""
    asked = conf.sched is not None and bool(conf.sched.ats)
    yield from _absent(conf, *(SCRIPTS if asked else SCRIPTS[:1]))


def _absent(conf: Configuration, *names: str) -> Iterator[Spot]:
    for path, spot in programs(conf, names):
        if conf.facts.paths.get(path) is False:
            yield spot


def programs(conf: Configuration, names: tuple[str, ...]) -> Iterator[tuple[str, Spot]]:
    """Yield what upsmon and upssched call, without its arguments, and where each is named."""
    lines = [conf.upsmon.last(name) for name in names] if conf.upsmon else []
    said = [("upsmon.conf", one.number, one.words[1]) for one in lines if one]
    if conf.sched and "CMDSCRIPT" in names and (option := conf.sched.values.get("CMDSCRIPT")):
        said.append(("upssched.conf", option.line, option.value or ""))
    for file, line, command in said:
        for path in command.split()[:1]:
            yield path, Spot(file, line, path)
