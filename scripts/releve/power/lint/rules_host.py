"""The host around the files: who may read them, and what a shutdown has left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint.finding import Rules, Spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration

RULES = Rules()
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
