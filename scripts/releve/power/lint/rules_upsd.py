"""upsd.conf and upsd.users: where the server listens, and who may do what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.power.lint import looks, releases
from releve.power.lint.address import EVERYWHERE, address_of, alike, is_loopback
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.parse import atoi
from releve.power.lint.read import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration, Listen, User

RULES = Rules()
FILE, USERS = "upsd.conf", "upsd.users"
SERVES = ("standalone", "netserver", None)  # modes in which upsd runs, or may run
SAFE_PASSWORD = re.compile(r"[A-Za-z0-9_-]+")
LEAST_LENGTH = 8
MAXAGE_LEAST, MAXAGE_MOST = 10, 120  # seconds
FILES_MOST = 1024  # that systemd lets a service open, unless LimitNOFILE says otherwise
STATE = ("/run/nut", "/var/run/nut")  # one and the same on Debian
# Words that stand in examples and guides, whatever surrounds them.
_EXAMPLES = re.compile(
    r"pass|passwd|secret|admin|change.?me|fix.?me|mima|hunter2|12345|qwerty|letmein|example|monitor"
    r"|nut.?test|local\d$|p@ss|test",
    re.IGNORECASE,
)


def is_weak(password: str) -> bool:
    """Tell whether a password is short or stands in some example."""
    return len(password) < LEAST_LENGTH or _EXAMPLES.search(password) is not None


@RULES.warn(
    "UD_LISTEN_ALL",
    "upsd listens on every address ({at})",
    "listen on 127.0.0.1 and on the address that the clients use, behind a firewall",
)
def listen_all(conf: Configuration) -> Iterator[Spot]:
    """Find a server that is open to all."""
    if conf.upsd:
        found = [one for one in conf.upsd.listens if one.address in EVERYWHERE]
        yield from (Spot(FILE, one.line, one.address) for one in found[:1])


@RULES.warn(
    "UD_NETSERVER_LOCAL_ONLY",
    "the mode is netserver, yet upsd listens on this host only",
    "add LISTEN with the address that the clients use, or set MODE=standalone",
)
def local_only(conf: Configuration) -> Iterator[Spot]:
    """Find a server that no client can reach."""
    listens = conf.upsd.listens if conf.upsd else ()
    local = all(is_loopback(one.address) for one in listens)
    if conf.mode == "netserver" and conf.upsd and local:
        yield Spot(FILE, listens[0].line if listens else 0)


@RULES.warn(
    "UD_LISTEN_SHADOWED",
    "{at} is in vain: Linux gives upsd the first of the two only, so that clients find nothing at"
    " other addresses (from NUT 2.8.2 on upsd ends at start)",
    "keep the one that stands for all, or name each address",
)
def listen_shadowed(conf: Configuration) -> Iterator[Spot]:
    """Find what Linux does not give to upsd any more: clients find nothing there."""
    for one, first in conf.upsd.shadowed(conf.localhost) if conf.upsd else ():
        yield Spot(FILE, one.line, f"LISTEN {one.address} after {first.address}")


@RULES.refuse(
    "UD_LISTEN_ABSENT",
    "upsd shall listen on {at}, an address that this host does not have: clients find nothing"
    " there, and where it is the first one upsd does not start",
    "give an address of this host, after LISTEN 127.0.0.1",
)
def listen_absent(conf: Configuration) -> Iterator[Spot]:
    """Find an address that is not there."""
    known = conf.facts.addresses
    for one in conf.upsd.listens if conf.upsd and known is not None else ():
        here = is_loopback(one.address) or one.address in EVERYWHERE
        named = address_of(one.address) is None
        if not here and not named and known is not None and alike(one.address) not in known:
            yield Spot(FILE, one.line, one.address)


@RULES.note(
    "UD_LISTEN_FIRST",
    "upsd ends at start while it has not {at}, the first address that it shall listen on; it goes"
    " on without a later one",
    "put LISTEN 127.0.0.1 first: an address may come after upsd in a boot",
)
def listen_first(conf: Configuration) -> Iterator[Spot]:
    """Find an upsd that waits for the network (server_load of upsd.c looks at the first alone)."""
    for one in conf.upsd.listens[:1] if conf.upsd else ():
        if not is_loopback(one.address) and one.address not in EVERYWHERE:
            yield Spot(FILE, one.line, one.address)


@RULES.refuse(
    "UD_LISTEN_INVALID",
    "{at} can be no address and port, for which upsd ends at start",
    "write LISTEN ADDRESS PORT, with a blank between the two",
)
def listen_invalid(conf: Configuration) -> Iterator[Spot]:
    """Find what getaddrinfo() gives up."""
    for one in conf.upsd.listens if conf.upsd else ():
        if not _could_be(one):
            yield Spot(FILE, one.line, f"{one.address} {one.port}")


def _could_be(listen: Listen) -> bool:
    """Tell whether the resolver may take it: an address, a name; a port number or a service."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", listen.port):  # a large number is taken, less 65536
        return False
    if address_of(listen.address) is not None or listen.address in EVERYWHERE:
        return True
    name = re.fullmatch(r"[A-Za-z0-9._-]+", listen.address) is not None
    return name and re.fullmatch(r"[0-9.]+", listen.address) is None


@RULES.refuse(
    "UD_STATEPATH_OTHER",
    "upsd looks for its drivers in {at}, and Debian's are in /run/nut: no UPS ever has data",
    "leave STATEPATH out",
)
def state_elsewhere(conf: Configuration) -> Iterator[Spot]:
    """Find an upsd that goes to another place than its drivers (upsd.c: chdir)."""
    found = conf.upsd.values.get("STATEPATH") if conf.upsd and conf.mode in SERVES else None
    if found and found.words[1].rstrip("/") not in STATE:
        yield Spot(FILE, found.number, found.words[1])


@RULES.warn(
    "UD_MAXAGE_HUGE",
    "upsd hands on for {at} s what a driver said that answers no more: so long may a cut go unseen",
    "set MAXAGE to 15, or three times the slowest pollinterval",
)
def stale_late(conf: Configuration) -> Iterator[Spot]:
    """Find old values that pass for new ones."""
    found = conf.upsd.values.get("MAXAGE") if conf.upsd else None
    if found and atoi(found.words[1]) > MAXAGE_MOST:
        yield Spot(FILE, found.number, str(atoi(found.words[1])))


@RULES.warn(
    "UD_MAXAGE_SHORT",
    "upsd takes a driver that is busy with its UPS for {at} s for a dead one, and a dead one on"
    " battery stops the site",
    "set MAXAGE to 15, or three times the slowest pollinterval",
)
def stale_early(conf: Configuration) -> Iterator[Spot]:
    """Find a patience that a driver at work outlasts (sstate_dead of sstate.c)."""
    found = conf.upsd.values.get("MAXAGE") if conf.upsd else None
    if found and atoi(found.words[1]) < MAXAGE_LEAST:
        yield Spot(FILE, found.number, str(atoi(found.words[1])))


@RULES.refuse(
    "UD_MAXCONN",
    "MAXCONN is {at}: upsd ends at start with 0 or with more than the system lets it open, and lets"
    " nobody in with less than its devices, its addresses and one client take",
    "leave MAXCONN out",
)
def connections(conf: Configuration) -> Iterator[Spot]:
    """Find a limit that upsd dies of, or starves of (poll_reload and mainloop of upsd.c)."""
    found = conf.upsd.values.get("MAXCONN") if conf.upsd else None
    if conf.upsd is None or found is None:
        return
    most = atoi(found.words[1])
    least = len(conf.sections) + (len(conf.upsd.listens) or len(("127.0.0.1", "::1"))) + 1
    raised = conf.units is not None and conf.units.last("nut-server.service", "LimitNOFILE")
    if most < least or (most > FILES_MOST and not raised):
        yield Spot(FILE, found.number, str(most))


@RULES.warn(
    "UD_UNKNOWN_DIRECTIVE",
    "upsd {nut} does not know {at} and goes on without it",
    "see upsd.conf(5) of NUT {nut}; capitals count",
)
def unknown_directive(conf: Configuration) -> Iterator[Spot]:
    """Find a wish without effect."""
    for one in conf.upsd.unknown if conf.upsd else ():
        taken = one.name in NUMBERS
        named = releases.with_release(one.name, releases.UPSD)
        named = f"{one.name} with this value (right is a number)" if taken else named
        yield Spot(FILE, one.line, named if one.shown else "this line")
    for line in conf.upsd.broken if conf.upsd else ():
        yield Spot(FILE, line, "this line")


@RULES.refuse(
    "UU_NO_USERS",
    "nobody may log in: there is no user with a password and a line `upsmon primary` or"
    " `upsmon secondary`",
    "give the primary and the clients a user each",
)
def no_users(conf: Configuration) -> Iterator[Spot]:
    """Find a server that lets nobody in."""
    users = conf.users.users if conf.users else ()
    serves = conf.users is not None and conf.mode in (*SERVES, "none")
    if serves and not any(user.may_login for user in users):
        yield Spot(USERS)


@RULES.warn(
    "UU_UNKNOWN_KEY",
    "upsd ignores this line of a user ({at})",
    "a user has password, actions, instcmds and `upsmon primary` or `upsmon secondary`",
)
def unknown_key(conf: Configuration) -> Iterator[Spot]:
    """Find a setting that is none."""
    for one in conf.users.unknown if conf.users else ():
        yield Spot(USERS, one.line, one.name if one.shown else "not shown")


@RULES.warn(
    "UU_LINE_BROKEN",
    "upsd cannot read this line and goes on without it",
    "a # in quotes needs a backslash before it; better use A-Z a-z 0-9 _ - only",
)
def broken(conf: Configuration) -> Iterator[Spot]:
    """Find a line that the parser gave up."""
    yield from (Spot(USERS, line) for line in (conf.users.broken if conf.users else ()))


@RULES.refuse(
    "UU_PASSWORD_CUT",
    "the password of [{at}] ends at its #, which begins a comment: nobody knows the shorter one",
    "use A-Z a-z 0-9 _ - only",
)
@looks.at_each_user
def password_cut(one: User) -> Iterator[Spot]:
    """Find a password that is shorter than it looks."""
    if one.cut:
        yield Spot(USERS, one.password_line, one.name)


@RULES.warn(
    "UU_PASSWORD_SHORT",
    "the password of [{at}] ends at its blank or its =: upsd leaves out what follows on the line",
    "use A-Z a-z 0-9 _ - only; in quotes it reaches upsd's file, and no login",
)
@looks.at_each_user
def password_short(one: User) -> Iterator[Spot]:
    """Find a password that two files may agree on, and that is not what was meant."""
    if one.short:
        yield Spot(USERS, one.password_line, one.name)


@RULES.warn(
    "UU_NO_PASSWORD",
    "[{at}] has no password that upsd could read: it is refused",
    "give it one of A-Z a-z 0-9 _ -",
)
@looks.at_each_user
def no_password(one: User) -> Iterator[Spot]:
    """Find a user who is never let in."""
    if one.password is None:
        yield Spot(USERS, one.line, one.name)


@RULES.warn(
    "UU_DUPLICATE_USER",
    "[{at}] is there already: upsd ignores this header and gives what follows to the user before",
    "keep one section a user",
)
def duplicate_user(conf: Configuration) -> Iterator[Spot]:
    """Find a header that does not do what it says."""
    yield from (Spot(USERS, line, name) for name, line in (conf.users.again if conf.users else ()))


def _with_password(conf: Configuration) -> Iterator[tuple[User, str]]:
    for one in conf.users.users if conf.users else ():
        if one.password is not None:
            yield one, one.password


@RULES.warn(
    "UU_WEAK_PASSWORD",
    "the password of [{at}] is short or stands in an example",
    "take 24 random characters of A-Z a-z 0-9 _ -",
)
def weak(conf: Configuration) -> Iterator[Spot]:
    """Find a password that anybody tries."""
    for one, password in _with_password(conf):
        if is_weak(password):
            yield Spot(USERS, one.password_line, one.name)


@RULES.warn(
    "UU_PASSWORD_CHARS",
    "the password of [{at}] has characters that some parser takes apart",
    "use A-Z a-z 0-9 _ - only",
)
def password_characters(conf: Configuration) -> Iterator[Spot]:
    """Find a password that is hard to hand over."""
    for one, password in _with_password(conf):
        if not SAFE_PASSWORD.fullmatch(password):
            yield Spot(USERS, one.password_line, one.name)


@RULES.warn(
    "UU_MONITOR_USER_TOO_STRONG",
    "[{at}] logs in as a monitor and may also SET or send commands to the UPS",
    "give tests and commands a user of their own",
)
@looks.at_each_user
def too_strong(one: User) -> Iterator[Spot]:
    """Find a monitor that may more than watch."""
    sets = "set" in (action.lower() for action in one.actions)
    if one.roles and (sets or one.commands):
        yield Spot(USERS, one.line, one.name)


@RULES.warn(
    "UU_USER_WITHOUT_RIGHTS",
    "[{at}] has neither a role nor a right, so that its login is denied",
    "add `upsmon primary` or `upsmon secondary`, or remove it",
)
@looks.at_each_user
def without_rights(one: User) -> Iterator[Spot]:
    """Find a user for nothing."""
    if not one.roles and not one.actions and not one.commands:
        yield Spot(USERS, one.line, one.name)
