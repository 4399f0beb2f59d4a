"""Read the files of a directory into the model, each as its own program does.

ups.conf: common/upsconf.c; upsd.conf: server/conf.c; upsd.users: server/user.c; upsmon.conf:
clients/upsmon.c; upssched.conf: clients/upssched.c; of NUT 2.8.1, and what other releases know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.power.lint import releases
from releve.power.lint.address import PORT, split
from releve.power.lint.model import (
    FILES,
    ROLES,
    At,
    Configuration,
    Facts,
    Listen,
    Monitor,
    Option,
    SchedConf,
    Section,
    UpsConf,
    UpsdConf,
    UpsmonConf,
    User,
    UsersConf,
)
from releve.power.lint.parse import Line, atoi, nut_lines
from releve.power.lint.shell import read_shell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from releve.power.lint.releases import Release

LARGEST = 1_000_000  # bytes; a NUT file that is larger is not one
# Directives of upsd.conf -> words needed, itself counted. Debian builds against NSS: CERTFILE (of
# OpenSSL) and CERTREQUEST are not known to its upsd.
UPSD = {
    "ALLOW_NOT_ALL_LISTENERS": 2, "ALLOW_NO_DEVICE": 2, "CERTIDENT": 3, "CERTPATH": 2,
    "DATAPATH": 2, "DEBUG_MIN": 2, "DISABLE_WEAK_SSL": 2, "LISTEN": 2, "MAXAGE": 2, "MAXCONN": 2,
    "STATEPATH": 2, "TRACKINGDELAY": 2,
}  # fmt: skip
NUMBERS = ("MAXAGE", "MAXCONN", "TRACKINGDELAY")  # of upsd.conf; another word is not taken
UPSMON = {
    "ALARMCRITICAL": 2, "CERTHOST": 5, "CERTIDENT": 3, "CERTPATH": 2, "CERTVERIFY": 2,
    "DEADTIME": 2, "DEBUG_MIN": 2, "FINALDELAY": 2, "FORCESSL": 2, "HOSTSYNC": 2, "MINSUPPLIES": 2,
    "NOCOMMWARNTIME": 2, "NOTIFYCMD": 2, "NOTIFYFLAG": 3, "NOTIFYMSG": 3, "OBLBDURATION": 2,
    "OFFDURATION": 2, "OVERDURATION": 2,
    "POLLFAIL_LOG_THROTTLE_MAX": 2, "POLLFREQ": 2, "POLLFREQALERT": 2, "POWERDOWNFLAG": 2,
    "RBWARNTIME": 2, "RUN_AS_USER": 2, "SHUTDOWNCMD": 2, "SHUTDOWNEXIT": 2,
}  # fmt: skip
_MONITOR_WORDS = 6


def read_directory(folder: Path, facts: Facts | None = None) -> Configuration:
    """Read what a directory has of NUT's files; raises InputError when it is none."""
    if not folder.is_dir():
        message = f"{folder}: no such directory; give the one that holds nut.conf and its like"
        raise InputError(message)
    texts: dict[str, str] = {}
    for name in FILES:
        file = folder / name
        try:
            if file.is_file():
                with file.open("rb") as stream:
                    texts[name] = stream.read(LARGEST).decode("latin-1")
        except OSError as error:
            message = f"{file}: cannot be read ({error.strerror}); run this as root"
            raise InputError(message) from error
    if not texts:
        message = f"{folder}: none of {', '.join(FILES)} is here; give NUT's directory"
        raise InputError(message)
    return read_texts(texts, facts)


def read_texts(texts: Mapping[str, str], facts: Facts | None = None) -> Configuration:
    """Read files that are at hand as text, one character a byte."""
    lines = {name: nut_lines(text) for name, text in texts.items() if name != "nut.conf"}
    nut, facts = texts.get("nut.conf"), facts or Facts()
    release = facts.release or releases.DEBIAN_13
    return Configuration(
        nut=None if nut is None else read_shell(nut),
        ups=read_ups(lines["ups.conf"]) if "ups.conf" in lines else None,
        upsd=read_upsd(lines["upsd.conf"], release) if "upsd.conf" in lines else None,
        users=read_users(lines["upsd.users"]) if "upsd.users" in lines else None,
        upsmon=read_upsmon(lines["upsmon.conf"], release) if "upsmon.conf" in lines else None,
        sched=read_sched(lines["upssched.conf"]) if "upssched.conf" in lines else None,
        facts=facts,
    )


def _broken(lines: list[Line]) -> tuple[int, ...]:
    return tuple(line.number for line in lines if line.broken)


def _header(line: Line) -> str | None:
    word = line.words[0]
    return word[1:-1] if len(word) > 1 and word[0] == "[" and word[-1] == "]" else None


def _unknown(line: Line) -> Option:
    """Keep a line that its program does not know; a lone word is not shown: it may be a secret."""
    shown = not line.remnant and len(line.words) > 1
    return Option(line.words[0], None, line.number, shown)


def read_ups(lines: list[Line]) -> UpsConf:
    """Read ups.conf."""
    order: dict[str, tuple[int, list[Option]]] = {}
    top: list[Option] = []
    repeats: list[tuple[str, int]] = []
    ignored: list[int] = []
    current = top
    for line in lines:
        if line.broken or not line.words:
            continue
        name = _header(line)
        if name is not None:
            if name in order:
                repeats.append((name, line.number))
            current = order.setdefault(name, (line.number, []))[1]
        elif len(line.words) == 1:
            current.append(Option(line.words[0], None, line.number, shown=not line.remnant))
        elif len(line.words) > 2 and line.words[1] == "=":  # noqa: PLR2004  # name = value
            current.append(Option(line.words[0], line.words[2], line.number, not line.remnant))
        else:
            ignored.append(line.number)
    sections = [Section(name, number, tuple(found)) for name, (number, found) in order.items()]
    return UpsConf(tuple(top), tuple(sections), tuple(repeats), tuple(ignored), _broken(lines))


def read_upsd(lines: list[Line], release: Release = releases.DEBIAN_13) -> UpsdConf:
    """Read upsd.conf; the addresses in the order in which they are bound."""
    listens: list[Listen] = []
    values: dict[str, Line] = {}
    unknown: list[Option] = []
    for line in lines:
        if line.broken or not line.words:
            continue
        name = line.words[0]
        known = "DEBUG_MIN" if name.upper() == "DEBUG_MIN" else name
        numeric = name not in NUMBERS or "".join(line.words[1:2])[:1].isdigit()
        new = releases.UPSD.get(known, releases.OLDEST) > release
        if len(line.words) < UPSD.get(known, 99) or not numeric or new:
            unknown.append(_unknown(line))
        elif name == "LISTEN":
            port = line.words[2] if len(line.words) > 2 else PORT  # noqa: PLR2004
            listens.append(Listen(line.words[1], port, line.number))
        else:
            values[known] = line
    if release < releases.KEEPS_ORDER:
        listens.reverse()
    return UpsdConf(tuple(listens), values, tuple(unknown), _broken(lines))


class _Users:
    """upsd.users as it fills up; settings go to the user whose header was taken last."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.current = ""
        self.again: list[tuple[str, int]] = []
        self.unknown: list[Option] = []

    def header(self, name: str, number: int) -> None:
        if name in self.users:  # upsd says "Ignoring duplicate user" and stays where it was
            self.again.append((name, number))
            return
        self.users[name] = User(name, number, None, number, False, (), (), ())
        self.current = name

    def setting(self, key: str, value: str, line: Line) -> None:
        user = self.users.get(self.current)
        if user is None:
            self.unknown.append(Option(key, None, line.number, shown=not line.remnant))
        elif key == "password":
            if user.password is None:
                user = replace(user, password=value, password_line=line.number, cut=line.cut)
            elif user.password_line == line.number:  # "Ignoring duplicate password"
                user = replace(user, short=True)
        elif key == "instcmds":
            user = replace(user, commands=(*user.commands, value))
        elif key == "actions":
            user = replace(user, actions=(*user.actions, value))
        elif key == "upsmon" and value.lower() in ROLES:
            user = replace(user, roles=(*user.roles, value))
        else:
            self.unknown.append(Option(key, None, line.number, shown=not line.remnant))
        if user is not None:
            self.users[self.current] = user


def read_users(lines: list[Line]) -> UsersConf:
    """Read upsd.users."""
    found = _Users()
    for line in lines:
        words = line.words
        if line.broken or not words or words[0].lower() == "user":
            continue
        name = _header(line)
        if name is not None:
            found.header(name, line.number)
        elif len(words) > 1 and words[0].lower() == "upsmon" and words[1] != "=":
            found.setting("upsmon", words[1], line)
        elif len(words) > 2 and words[1] == "=":  # noqa: PLR2004  # name = value more ...
            for value in words[2:]:
                found.setting(words[0].lower(), value, line)
        elif "=" in words[0][1:]:  # "name=value" in quotes
            name, _, value = words[0].partition("=")
            for one in (value, *words[1:]):
                found.setting(name.lower(), one, line)
        else:
            found.unknown.append(_unknown(line))
    users = tuple(found.users.values())
    return UsersConf(users, tuple(found.again), tuple(found.unknown), _broken(lines))


def read_upsmon(lines: list[Line], release: Release = releases.DEBIAN_13) -> UpsmonConf:
    """Read upsmon.conf."""
    monitors: dict[str, Monitor] = {}
    fatal: list[int] = []
    useless: list[int] = []
    settings: list[Line] = []
    unknown: list[Option] = []
    for line in lines:
        if line.broken or not line.words:
            continue
        name = line.words[0]
        known = "DEBUG_MIN" if name.upper() == "DEBUG_MIN" else name
        if name == "MONITOR" and len(line.words) >= _MONITOR_WORDS:
            one = _monitor(line)
            if one is None or one.system in monitors:
                useless.append(line.number)
            else:
                monitors[one.system] = one
        elif name == "MONITOR":  # with five words it "ends in unusable configuration"
            (fatal if len(line.words) == _MONITOR_WORDS - 1 else useless).append(line.number)
        elif (
            len(line.words) < UPSMON.get(known, 99)
            or releases.UPSMON.get(known, releases.OLDEST) > release
        ):
            unknown.append(_unknown(line))
        else:
            settings.append(line)
    return UpsmonConf(
        tuple(monitors.values()), tuple(fatal), tuple(useless), tuple(settings), tuple(unknown),
        _broken(lines),
    )  # fmt: skip


def _monitor(line: Line) -> Monitor | None:
    _name, system, power, user, password, role = line.words[:_MONITOR_WORDS]
    ups, at, address = system.partition("@")
    host, port = split(address) if at else ("localhost", PORT)
    if not ups or atoi(power) < 0:
        return None
    return Monitor(line.number, system, ups, host, port, atoi(power), user, password, role)


def read_sched(lines: list[Line]) -> SchedConf:
    """Read upssched.conf."""
    values: dict[str, Option] = {}
    ats: list[At] = []
    early: list[int] = []
    unknown: list[Option] = []
    needed = ("CMDSCRIPT", "PIPEFN", "LOCKFN")
    for line in lines:
        words = line.words
        if line.broken or not words:
            continue
        if len(words) > 1 and words[0] in needed:
            values[words[0]] = Option(words[0], words[1], line.number)
        elif len(words) > 4 and words[0] == "AT":  # noqa: PLR2004  # AT EVENT UPS COMMAND NAME
            second = words[5] if len(words) > 5 else None  # noqa: PLR2004
            ats.append(At(line.number, words[1], words[2], words[3], words[4], second))
            if not values.keys() >= set(needed):
                early.append(line.number)
        else:
            unknown.append(_unknown(line))
    return SchedConf(values, tuple(ats), tuple(early), tuple(unknown), _broken(lines))
