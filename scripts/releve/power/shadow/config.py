"""The host's NUT configuration as the shadow runs it: a copy with a few lines rewritten; pure.

Rewritten: where the UPSes are (dummy-ups in place of the driver), what SHUTDOWNCMD, NOTIFYCMD and
CMDSCRIPT call (recorders; the last two go on to the real program), POWERDOWNFLAG when it lies
outside of the private /run, and, for the timer's turn, how long the timer runs. Everything else
is what will run when the mains fail: ups.conf(5), upsmon.conf(5), upssched.conf(5) of NUT 2.8.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from ipaddress import ip_address

UPSD_PORT = 3493
FOLDER = "/run/nut/shadow"
PRIVATE = "/run/"
FLAG = "/run/nut/killpower"
RECORDED = ("shutdown", "notify", "script")
# Settings that NUT's common driver code understands, so dummy-ups does; the rest is the device's.
COMMON_SETTINGS = ("ignorelb", "override.", "default.")
# The driver of our virtual UPSes, mode `policy`: it touches no device, so the real one runs.
POLICY = "releve-policy"


@dataclass(frozen=True, slots=True)
class Monitor:
    """One MONITOR line: which UPS where, how many supplies it feeds, and as what we log in."""

    ups: str
    host: str
    port: int
    supplies: int
    primary: bool


@dataclass(frozen=True, slots=True)
class Timer:
    """One START-TIMER of upssched.conf that an ONBATT starts."""

    name: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What upsmon.conf says, as far as the shadow has to know it."""

    monitors: tuple[Monitor, ...]
    shutdown: str = ""
    notify: str = ""
    flag: str = ""
    faults: tuple[str, ...] = field(default=())


def words_of(line: str) -> list[str]:
    """Return the words of one line of a NUT file; raises ValueError for an open quote.

    A `#` begins a comment unless it is quoted or escaped; quotes are double ones only.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.quotes = '"'
    lexer.commenters = "#"
    return list(lexer)


def monitoring(text: str) -> Monitoring:
    """Return what an upsmon.conf says; lines that NUT could not read are faults."""
    monitors: list[Monitor] = []
    said = {"SHUTDOWNCMD": "", "NOTIFYCMD": "", "POWERDOWNFLAG": ""}
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = words_of(line)
        except ValueError as error:
            faults.append(f"upsmon.conf:{number}: {error}")
            continue
        if not words:
            continue
        if words[0] in said and len(words) > 1:
            said[words[0]] = words[1]
        if words[0] == "MONITOR":
            found = _monitor(words)
            if found is None:
                faults.append(f"upsmon.conf:{number}: MONITOR needs UPS@HOST, supplies, name,"
                              " password and primary or secondary")  # fmt: skip
            else:
                monitors.append(found)
    return Monitoring(
        tuple(monitors),
        said["SHUTDOWNCMD"],
        said["NOTIFYCMD"],
        said["POWERDOWNFLAG"],
        tuple(faults),
    )


def _monitor(words: list[str]) -> Monitor | None:
    """Return a MONITOR line; `UPS` alone is one of this host, an IPv6 address has brackets."""
    if len(words) != 6 or not words[2].isdigit():  # noqa: PLR2004  # MONITOR and five words
        return None
    ups, _, where = words[1].partition("@")
    host, port = where or "localhost", UPSD_PORT
    head, colon, tail = where.rpartition(":")
    if colon and tail.isdigit() and (head.endswith("]") or ":" not in head):
        host, port = head, int(tail)
    return Monitor(ups, host.strip("[]"), port, int(words[2]), words[5] in {"primary", "master"})


def timers(text: str) -> tuple[Timer, ...]:
    """Return the timers of an upssched.conf that run from the loss of the mains on."""
    found = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) > 5 and words[:2] == ["AT", "ONBATT"] and words[3] == "START-TIMER":  # noqa: PLR2004  # AT ONBATT UPS START-TIMER NAME SECONDS
            seconds = words[5].strip('"')
            if seconds.isdigit():
                found.append(Timer(words[4].strip('"'), int(seconds)))
    return tuple(found)


def script_of(text: str) -> str:
    """Return the CMDSCRIPT of an upssched.conf, or nothing."""
    return _value(text, "CMDSCRIPT")


def upsmon_conf(text: str) -> str:
    """Return upsmon.conf for the shadow."""
    what = monitoring(text)
    new = {"SHUTDOWNCMD": f'SHUTDOWNCMD "{FOLDER}/shutdown"'}
    if what.notify:
        new["NOTIFYCMD"] = f'NOTIFYCMD "{FOLDER}/notify"'
    if not what.flag.startswith(PRIVATE):
        new["POWERDOWNFLAG"] = f'POWERDOWNFLAG "{FLAG}"'
    lines = _without(text, set(new))
    if not what.flag:
        del new["POWERDOWNFLAG"]  # a host that makes no flag shall make none here either
    return "\n".join([*lines, *new.values(), ""])


def upssched_conf(text: str, timer_seconds: int | None = None) -> str:
    """Return upssched.conf for the shadow; `timer_seconds` shortens every timer of ONBATT."""
    lines = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words[:1] == ["CMDSCRIPT"]:
            lines.append(f"CMDSCRIPT {FOLDER}/script")
        elif timer_seconds is not None and words[:2] == ["AT", "ONBATT"] and timers(line):
            seconds = min(timer_seconds, timers(line)[0].seconds)
            lines.append(" ".join([*words[:5], str(seconds)]))
        else:
            lines.append(line)
    return "\n".join([*lines, ""])


def ups_conf(text: str) -> str:
    """Return ups.conf for the shadow: the same UPSes and thresholds, each played by dummy-ups.

    Virtual UPSes stay as they are: they read what is played from upsd.
    """
    lines: list[str] = []
    name = ""
    own = virtual(text)
    for line in text.splitlines():
        bare = line.split("#", 1)[0].strip()
        if bare.startswith("["):
            name = bare.strip("[]").strip()
            lines.append(f"[{name}]")
            if name not in own:
                lines += ["driver = dummy-ups", f"port = {FOLDER}/{name}.dev", "mode = dummy-once"]
        elif name in own or (name and bare.startswith(COMMON_SETTINGS)):
            lines.append(bare)
    return "\n".join(["pollinterval = 1", *lines, ""])


def sections(text: str) -> tuple[str, ...]:
    """Return the UPSes of an ups.conf."""
    return tuple(_settings(text))


def virtual(text: str) -> dict[str, str]:
    """Return the virtual UPSes of an ups.conf, each with the real one that it reads."""
    return {
        name: said.get("port", "")
        for name, said in _settings(text).items()
        if said.get("driver") == POLICY
    }


def _settings(text: str) -> dict[str, dict[str, str]]:
    """Return each UPS of an ups.conf with its settings."""
    found: dict[str, dict[str, str]] = {}
    own: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.split("#", 1)[0].strip()
        if bare.startswith("["):
            own = found.setdefault(bare.strip("[]").strip(), {})
        elif "=" in bare:
            key, _, value = bare.partition("=")
            own[key.strip()] = value.strip().strip('"')
    return found


def is_address(name: str) -> bool:
    """Whether a name is an address, of version 4 or 6."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def listens(text: str) -> tuple[tuple[str, int], ...]:
    """Return the addresses and ports of an upsd.conf; without any it is this host alone."""
    found = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words[:1] == ["LISTEN"] and len(words) > 1:
            port = int(words[2]) if len(words) > 2 and words[2].isdigit() else UPSD_PORT  # noqa: PLR2004  # LISTEN ADDRESS PORT
            found.append((words[1], port))
    return tuple(found) or (("127.0.0.1", UPSD_PORT),)


def _value(text: str, key: str) -> str:
    """Return the word after a directive, the last one's, or nothing."""
    found = ""
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(None, 1)
        if len(words) > 1 and words[0] == key:
            found = words[1].strip().strip('"')
    return found


def _without(text: str, keys: set[str]) -> list[str]:
    return [line for line in text.splitlines() if not keys & set(line.split(None, 1)[:1])]
