"""The host's NUT configuration as the shadow runs it: a copy with a few lines rewritten; pure.

Rewritten: where the UPSes are (dummy-ups in place of the driver), what SHUTDOWNCMD, NOTIFYCMD and
CMDSCRIPT call (recorders; the last two go on to the real program), POWERDOWNFLAG when it lies
outside of the private /run, and, for the timer's turn, how long the timer runs. Everything else
is what will run when the mains fail: ups.conf(5), upsmon.conf(5), upssched.conf(5) of NUT 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from releve.power.lint.parse import nut_lines
from releve.power.lint.read import read_sched, read_ups, read_upsd, read_upsmon

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


def monitoring(text: str) -> Monitoring:
    """Return what an upsmon.conf says; lines that NUT cannot use are faults."""
    conf = read_upsmon(nut_lines(text))
    nowhere = [one.line for one in conf.monitors if one.port == "0"]
    faults = [(line, "NUT cannot read it") for line in conf.broken]
    faults += [
        (line, "MONITOR needs UPS@HOST, supplies, name, password and primary or secondary")
        for line in (*conf.fatal, *conf.useless, *nowhere)
    ]
    return Monitoring(
        tuple(
            Monitor(one.ups, one.host, int(one.port), one.power, one.is_primary)
            for one in conf.monitors
            if one.line not in nowhere
        ),
        conf.value("SHUTDOWNCMD") or "",
        conf.value("NOTIFYCMD") or "",
        conf.value("POWERDOWNFLAG") or "",
        tuple(f"upsmon.conf:{line}: {why}" for line, why in sorted(faults)),
    )


def timers(text: str) -> tuple[Timer, ...]:
    """Return the timers of an upssched.conf that run from the loss of the mains on."""
    return tuple(
        Timer(one.first, one.seconds)
        for one in read_sched(nut_lines(text)).starts()
        if one.event.upper() == "ONBATT" and (one.second or "").isdigit()
    )


def script_of(text: str) -> str:
    """Return the CMDSCRIPT of an upssched.conf, or nothing."""
    found = read_sched(nut_lines(text)).values.get("CMDSCRIPT")
    return found.value or "" if found else ""


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
    return {
        one.name: {option.name: option.value or "" for option in one.options}
        for one in read_ups(nut_lines(text)).sections
    }


def is_address(name: str) -> bool:
    """Whether a name is an address, of version 4 or 6."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def listens(text: str) -> tuple[tuple[str, int], ...]:
    """Return the addresses and ports of an upsd.conf; without any it is this host alone."""
    found = [
        (one.address, int(one.port) if one.port.isdigit() else UPSD_PORT)
        for one in read_upsd(nut_lines(text)).listens
    ]
    return tuple(found) or (("127.0.0.1", UPSD_PORT),)


def _without(text: str, keys: set[str]) -> list[str]:
    """Return the lines of a text but those of some directives, which may go over several."""
    lines, logical = text.split("\n"), nut_lines(text)
    ends = [*(one.number for one in logical[1:]), len(lines) + 1]
    gone = {
        number
        for one, end in zip(logical, ends, strict=bool(logical))
        if one.words and one.words[0] in keys
        for number in range(one.number, end)
    }
    return [line for number, line in enumerate(lines, 1) if number not in gone]
