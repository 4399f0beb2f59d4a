"""What several files must agree on: each MONITOR line against the upsd that it means.

The upsd is this host's own, or the one whose directory was given beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.power.lint import drivers, looks
from releve.power.lint.address import address_of
from releve.power.lint.cuts import COPIES, never_cuts
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.parse import atoi, nut_lines
from releve.power.lint.rules_ups import is_simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration, Monitor, Section, UpsmonConf, User

RULES = Rules()
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*|::[A-Fa-f0-9.:]*")  # name, IPv4, IPv6
FILE = "upsmon.conf"
_SLEEP = re.compile(r"(\d+\.?\d*|\.\d+|inf(?:inity)?)([smhd]?)")  # of coreutils


def _with_server(conf: Configuration) -> Iterator[tuple[Monitor, Configuration]]:
    """Yield each MONITOR line with the files of the upsd that it means, if known."""
    for one in conf.monitors:
        if conf.is_own(one.host):
            yield one, conf
        elif conf.server is not None:
            yield one, conf.server


def _with_user(conf: Configuration) -> Iterator[tuple[Monitor, User]]:
    for one, server in _with_server(conf):
        user = server.users.user(one.user) if server.users else None
        if user is not None:
            yield one, user


@RULES.refuse(
    "UM_USER_NOT_IN_UPSD_USERS",
    "upsd has no user {at}: the login is refused, nobody waits for this host and it sets no FSD",
    "name a user of upsd.users; capitals count",
)
def user_unknown(conf: Configuration) -> Iterator[Spot]:
    """Find a login of nobody."""
    for one, server in _with_server(conf):
        if server.users is not None and server.users.user(one.user) is None:
            yield Spot(FILE, one.line, one.user)


@RULES.refuse(
    "UM_USER_HAS_NO_UPSMON_ROLE",
    "the user {at} has no upsmon role (or no password) in upsd.users: the login is denied, nobody"
    " waits for this host",
    "give that user `upsmon primary` or `upsmon secondary`",
)
def no_role(conf: Configuration) -> Iterator[Spot]:
    """Find a login that upsd denies."""
    for one, user in _with_user(conf):
        if not user.may_login:
            yield Spot(FILE, one.line, one.user)


@RULES.refuse(
    "UM_USER_TOO_WEAK",
    "the user {at} is a secondary for upsd and a primary here: it may not set FSD, so that clients"
    " learn nothing before the cut",
    "give that user `upsmon primary` in upsd.users",
)
def too_weak(conf: Configuration) -> Iterator[Spot]:
    """Find a primary that cannot lead."""
    for one, user in _with_user(conf):
        if one.is_primary and user.may_login and not user.may_lead:
            yield Spot(FILE, one.line, one.user)


@RULES.refuse(
    "UM_WRONG_PASSWORD",
    "the password of {at} is not the one of upsd.users: the login is refused, nobody waits for this"
    " host",
    "give both files the same password",
)
def wrong_password(conf: Configuration) -> Iterator[Spot]:
    """Find two passwords that differ."""
    for one, user in _with_user(conf):
        if user.password is not None and user.password != one.password:
            yield Spot(FILE, one.line, one.user)


@RULES.refuse(
    "UM_LOGIN_TAKEN_APART",
    "upsmon sends the name and the password of {at} without quotes, and upsd takes a blank, =, # or"
    " a backslash in them apart: the login is refused, whatever stands in upsd.users",
    "use A-Z a-z 0-9 _ - only, in both files",
)
def taken_apart(conf: Configuration) -> Iterator[Spot]:
    """Find what quotes bring through the file, and nothing brings through the network."""
    for one in conf.monitors:
        if not (_arrives(one.user) and _arrives(one.password)):
            yield Spot(FILE, one.line, one.user)


def _arrives(word: str) -> bool:
    """Tell whether upsd reads a word as upsmon of NUT 2.8.1 sends it (clients/upsmon.c)."""
    return [line.words for line in nut_lines(f"PASSWORD {word}\n")] == [("PASSWORD", word)]


@RULES.refuse(
    "UM_UPS_NOT_IN_UPS_CONF",
    "upsd has no device {at}: this host watches nothing there",
    "name a section of ups.conf",
)
def ups_unknown(conf: Configuration) -> Iterator[Spot]:
    """Find a UPS that nobody drives."""
    for one, server in _with_server(conf):
        if server.ups is not None and server.sections and server.ups.section(one.ups) is None:
            yield Spot(FILE, one.line, one.ups)


@RULES.refuse(
    "UM_NOBODY_LISTENS",
    "upsd does not listen where {at} is asked for: this host watches nothing there",
    "add LISTEN 127.0.0.1, or name an address and a port on which upsd listens (LISTEN localhost is"
    " ::1 alone, and LISTEN :: takes no address of version 4)",
)
def nobody_listens(conf: Configuration) -> Iterator[Spot]:
    """Find a connection that nobody takes."""
    for one, server in _with_server(conf):
        serves = server.mode in ("standalone", "netserver")
        if serves and server.upsd and not server.upsd.hears(one.host, one.port, server.localhost):
            yield Spot(FILE, one.line, one.system)


@RULES.refuse(
    "UM_HOST_INVALID",
    "{at} names no host and port that there could be: this host watches nothing there",
    "write UPS@ADDRESS or UPS@ADDRESS:PORT",
)
def host_invalid(conf: Configuration) -> Iterator[Spot]:
    """Find a place that nobody filled in, or that is written as a URL."""
    for one in conf.monitors:
        if not _HOST.fullmatch(one.host) or _is_half_an_address(one.host) or one.port == "0":
            yield Spot(FILE, one.line, one.system)


def _is_half_an_address(host: str) -> bool:
    """Tell whether a host looks like an address of version 4 and is none, as 192.0.2.300."""
    return re.fullmatch(r"[0-9]+(\.[0-9]+){3}", host) is not None and address_of(host) is None


@RULES.refuse(
    "UM_LOCAL_MONITOR_IN_NETCLIENT",
    "a client (MODE=netclient) watches {at} on itself, where no upsd runs",
    "name the primary's address, or set MODE=netserver",
)
def local_in_client(conf: Configuration) -> Iterator[Spot]:
    """Find a client that asks itself."""
    for one in conf.monitors if conf.mode == "netclient" else ():
        if conf.is_own(one.host):
            yield Spot(FILE, one.line, one.ups)


@RULES.refuse(
    "UM_LOCAL_SECONDARY_NEVER_KILLS_POWER",
    "{at} is plugged in here, yet this host is its secondary: nobody sets FSD and nobody cuts",
    "write `primary` in this MONITOR line",
)
def local_secondary(conf: Configuration) -> Iterator[Spot]:
    """Find a host with the cable that calls itself secondary."""
    for one in conf.monitors:
        section = conf.section_of(one)
        serves = conf.mode in ("standalone", "netserver") or (conf.mode is None and section)
        driven = section is not None and section.driver != "dummy-ups"
        unread = conf.ups is None and conf.mode is not None
        if not one.is_primary and conf.is_own(one.host) and serves and (driven or unread):
            yield Spot(FILE, one.line, one.system)


@RULES.refuse(
    "UM_SECONDARY_WITH_DRIVERS",
    "this host is only a secondary of others and drives [{at}]: its shutdown would cut that UPS",
    "remove the section, or watch that UPS as its primary",
)
def secondary_with_drivers(conf: Configuration) -> Iterator[Spot]:
    """Find a secondary with a cable in its hand."""
    remote = [one for one in conf.monitors if not conf.is_own(one.host) and not one.is_primary]
    if conf.mode != "netclient" and remote and len(remote) == len(conf.monitors):
        flagged = conf.upsmon is not None and conf.upsmon.last("POWERDOWNFLAG") is not None
        for one in conf.sections if flagged else ():
            if not is_simulated(one):
                yield Spot("ups.conf", one.line, one.name)


@RULES.warn(
    "UM_UPS_NOT_MONITORED",
    "no MONITOR line watches [{at}], and the late hook of this host cuts it all the same, with"
    " whatever hangs on it",
    "watch it, too (power value 0 where it does not feed this host), or set sdorder = -1",
)
def not_monitored(conf: Configuration) -> Iterator[Spot]:
    """Find a device that is cut and that nobody asks: upsdrvctl takes every section."""
    leads = any(one.is_primary and conf.is_own(one.host) for one in conf.monitors)
    flagged = conf.upsmon is not None and conf.upsmon.last("POWERDOWNFLAG") is not None
    watched = {one.ups.lower() for one in conf.monitors if conf.is_own(one.host)}
    for one in conf.sections if leads and flagged else ():
        seen = one.name.lower() in watched or _is_source(conf, one.name.lower())
        cuts = one.driver not in drivers.OURS and not never_cuts(
            one.driver, one.value, conf.release
        )
        if not seen and not _spared(one) and cuts:
            yield Spot("ups.conf", one.line, one.name)


def _spared(section: Section) -> bool:
    """Tell whether the late hook passes a device by."""
    # upsdrvctl makes its entry of a section's first line, and of that keeps driver and port.
    late = any(option.name == "sdorder" for option in section.options[1:])
    return late and atoi(section.value("sdorder") or "0") < 0


@RULES.refuse(
    "UC_ALL_SPARED",
    "[{at}] has sdorder below 0, as each device here: the late hook passes all of them by, and no"
    " UPS is cut",
    "leave sdorder out of the section of the UPS that feeds this host",
)
def all_spared(conf: Configuration) -> Iterator[Spot]:
    """Find a primary whose late hook has nothing to do."""
    leads = any(one.is_primary and conf.is_own(one.host) for one in conf.monitors)
    real = [one for one in conf.sections if one.driver not in COPIES | drivers.OURS]
    if leads and real and all(map(_spared, real)):
        found = real[0].find("sdorder")
        yield Spot("ups.conf", found.line if found else real[0].line, real[0].name)


def _is_source(conf: Configuration, name: str) -> bool:
    """Tell whether a device is watched through another one: our policy, a clone, a repeater."""
    ports = [(one.value("port") or "").lower() for one in conf.sections]
    return any(
        port == name or port.endswith(f"-{name}") or port.startswith(f"{name}@") for port in ports
    )


@RULES.refuse(
    "NC_POWEROFF_WAIT_SHORT",
    "the late hook restarts this host {at} s after it has told the UPS to go off, which comes later"
    " than that: under a host that boots",
    "set POWEROFF_WAIT in nut.conf well above each offdelay, or leave it out (0 is no wait at all)",
)
def wait_short(conf: Configuration) -> Iterator[Spot]:
    """Find a wait for the output that ends before the output does."""
    said = conf.nut.late.get("POWEROFF_WAIT") if conf.nut else None
    leads = any(one.is_primary and conf.is_own(one.host) for one in conf.monitors)
    if not said or not leads or conf.nut is None:
        return
    seconds = _slept(said)
    for one in conf.sections:
        default = drivers.OFF_DEFAULT.get(one.driver)
        off = default if one.value("offdelay") is None else atoi(one.value("offdelay") or "")
        if off is not None and seconds <= off:
            yield Spot("nut.conf", conf.nut.lines.get("POWEROFF_WAIT", 0), f"{seconds:g}")
            return


def _slept(words: str) -> float:
    """Return for how many seconds `sleep` waits; 0 where it refuses the words."""
    total = 0.0
    for word in words.split():
        found = _SLEEP.fullmatch(word)
        if found is None:
            return 0.0
        total += float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]
    return total


@RULES.warn(
    "UM_REMOTE_PRIMARY",
    "this host is the primary of {at}, which is on another host (or under another of its names)",
    "be secondary there; the host with the cable is the primary, at localhost",
)
def remote_primary(conf: Configuration) -> Iterator[Spot]:
    """Find a primary far from the cable."""
    for one in conf.monitors:
        if one.is_primary and not conf.is_own(one.host):
            yield Spot(FILE, one.line, one.system)


@RULES.refuse(
    "UM_CERTVERIFY_WITHOUT_PATH",
    "CERTVERIFY 1 without CERTPATH: upsmon drops every connection",
    "set CERTPATH to the folder with the authority's certificate",
)
@looks.at_upsmon
def verify_without_path(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a check that nothing can pass."""
    if upsmon.number("CERTVERIFY", 0) == 1 and upsmon.value("CERTPATH") is None:
        yield looks.at_directive(upsmon, "CERTVERIFY")


@RULES.refuse(
    "UM_FORCESSL_WITHOUT_SERVER",
    "FORCESSL 1, and the upsd of {at} has no CERTPATH and CERTIDENT: no connection is made",
    "give upsd its certificate (Debian's NUT takes CERTPATH and CERTIDENT, not CERTFILE)",
)
def force_without_server(conf: Configuration) -> Iterator[Spot]:
    """Find a demand that the server cannot meet."""
    if conf.upsmon and conf.upsmon.number("FORCESSL", 0) == 1:
        for one, server in _with_server(conf):
            if server.upsd and not {"CERTPATH", "CERTIDENT"} <= server.upsd.values.keys():
                yield Spot(FILE, one.line, one.system)


@RULES.refuse(
    "UM_CERTPATH_NO_DATABASE",
    "CERTPATH names a file: NUT of Debian keeps certificates in an NSS database, a folder, and"
    " trusts nobody without",
    "make one with certutil, and name its folder (role nut_secondary does)",
)
@looks.at_upsmon
def no_database(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find the way of NUTs that are built with OpenSSL, where a connection depends on it."""
    found = upsmon.last("CERTPATH")
    needed = 1 in {upsmon.number(name, 0) for name in ("CERTVERIFY", "FORCESSL")}
    if found and needed and found.words[1].lower().endswith((".pem", ".crt", ".cer", ".der")):
        yield Spot(FILE, found.number)


@RULES.refuse(
    "UM_CERTPATH_ABSENT",
    "the folder of CERTPATH is not there: upsmon ends, or trusts nobody",
    "name the folder with the certificates",
)
def certificates_absent(conf: Configuration) -> Iterator[Spot]:
    """Find certificates that are not there."""
    found = conf.upsmon.last("CERTPATH") if conf.upsmon else None
    if found and conf.facts.paths.get(found.words[1]) is False:
        yield Spot(FILE, found.number)
