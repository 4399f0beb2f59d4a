"""upsmon.conf: how long what is waited for, and how often it is looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint import looks
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.model import NOT_NEGATIVE
from releve.power.lint.parse import atoi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration, UpsmonConf

RULES = Rules()
FILE = "upsmon.conf"
HOSTSYNC_LEAST, HOSTSYNC_MOST = 15, 3600  # seconds
FINALDELAY_MOST, DEADTIME_MOST, POLL_MOST = 30, 120, 15  # seconds


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
            yield looks.at_directive(conf.upsmon, "HOSTSYNC", str(seconds))


def _longer_than(name: str, most: int) -> looks.Find:
    """Return what finds a time that is set, and too long."""

    @looks.at_upsmon
    def find(upsmon: UpsmonConf) -> Iterator[Spot]:
        if upsmon.number(name, 0) > most:
            yield looks.at_directive(upsmon, name, str(upsmon.number(name, 0)))

    return find


RULES.warn(
    "UM_HOSTSYNC_LONG",
    "the primary waits up to {at} s for a client that hangs: longer than a battery lasts",
    "set HOSTSYNC to the longest stop of a client, as the budget says",
)(_longer_than("HOSTSYNC", HOSTSYNC_MOST))


RULES.warn(
    "UM_FINALDELAY_LONG",
    "FINALDELAY spends {at} s of battery after the decision",
    "set FINALDELAY to 5",
)(_longer_than("FINALDELAY", FINALDELAY_MOST))


RULES.warn(
    "UM_DEADTIME_HUGE",
    "a UPS that is silent on battery is waited for {at} s",
    "set DEADTIME to three times the slower of POLLFREQ and POLLFREQALERT",
)(_longer_than("DEADTIME", DEADTIME_MOST))


RULES.warn(
    "UM_POLL_SLOW",
    "upsmon asks upsd only every {at} s: so long may a cut go unseen",
    "set POLLFREQ to 5 or less",
)(_longer_than("POLLFREQ", POLL_MOST))


RULES.warn(
    "UM_POLL_SLOW_ON_BATTERY",
    "on battery upsmon asks upsd only every {at} s: so long may a low battery go unseen",
    "set POLLFREQALERT to 5 or less",
)(_longer_than("POLLFREQALERT", POLL_MOST))


@RULES.warn(
    "UM_POLL_INVALID",
    "{at} is not a number of seconds above 0: upsmon polls without a pause",
    "set POLLFREQ and POLLFREQALERT to 5 or less",
)
@looks.at_upsmon
def poll_invalid(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a pause of nothing; a negative one is ignored."""
    for name in ("POLLFREQ", "POLLFREQALERT"):
        if upsmon.number(name, 5) == 0:
            yield looks.at_directive(upsmon, name, name)


@RULES.warn(
    "UM_DEADTIME_SHORT",
    "DEADTIME is not above POLLFREQ and POLLFREQALERT: each poll that is late makes a dead UPS",
    "set DEADTIME to three times the slower of POLLFREQ and POLLFREQALERT",
)
@looks.at_upsmon
def deadtime_short(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a patience of less than one poll."""
    slowest = max(upsmon.number("POLLFREQ", 5), upsmon.number("POLLFREQALERT", 5))
    if upsmon.number("DEADTIME", 15) <= slowest:
        yield looks.at_directive(upsmon, "DEADTIME" if upsmon.last("DEADTIME") else "POLLFREQ")


@RULES.warn(
    "UM_NEGATIVE",
    "upsmon ignores a {at} below 0, and the value before it (or its default) holds",
    "write a number of 0 or more, or leave it out",
)
@looks.at_upsmon
def negative(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a number that does not count."""
    for name in sorted(NOT_NEGATIVE):
        for line in upsmon.all(name):
            if atoi(line.words[1]) < 0:
                yield Spot(FILE, line.number, name)
