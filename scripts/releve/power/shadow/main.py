"""`shadow`: play a power cut to this host's NUT where it can do nothing, and print what it did.

Prints one JSON document:

`{"format": 1, "host", "primary": bool, "monitors": [{ups, host, port, supplies, primary}],
"configured": {"shutdown", "argv", "runs": bool, "flag", "notify", "script", "timers", "tls"},
"runs": [{"trigger": "low"|"timer", "events": [{at, seconds, kind, subject, what}], "failed",
"heard"}], "before": {...}, "after": {...}, "left": [sentence, ...], "faults": [sentence, ...]}`

`at` is UTC, ISO 8601; `seconds` count from the loss of the mains that was played last. Kinds:
played, stand-in, secured, ready, notified, on-battery, policy, timer-started, timer-cancelled,
timer-over, script, low-battery, fsd, forced, decided, proceeding, shutdown, flag, killpower. `left`
is what is not as before, `faults` what makes the proof incomplete. Exit code 0: there is neither.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from releve.errors import CheckError, ExitCode, InputError, LaterError, RefusedError, ReleveError
from releve.power.look import look
from releve.power.shadow import config, secured, stage, tiers, witness

if TYPE_CHECKING:
    from pathlib import Path
from releve.power.upsd import NoAnswerError

LIMIT_SECONDS = 150.0  # of one turn, after which everything is ended
SPARE_SECONDS = 10.0
NOT_PLAYED = ("driver.", "ups.status")
ROOM = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--net", "--ipc"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """This host's NUT as its files say it, and where the names in them lead."""

    what: config.Monitoring
    upssched: str
    names: dict[str, str]
    addresses: tuple[str, ...]
    virtual: dict[str, str]
    demand: secured.Demand
    policy: str = ""

    @property
    def looked_at(self) -> list[config.Monitor]:
        """What upsmon follows, and the real UPSes beneath virtual ones of this host."""
        own = {
            self.virtual[one.ups]: dataclasses.replace(one, ups=self.virtual[one.ups])
            for one in self.what.monitors
            if one.primary and one.ups in self.virtual
        }
        return [*self.what.monitors, *own.values()]

    @property
    def timed(self) -> bool:
        """Whether time on battery stops this host: by upssched's timer, or by the policy."""
        if config.timers(self.upssched):
            return True
        mine = any(one.ups in self.virtual for one in self.what.monitors)
        return mine and tiers.has_a_time(self.policy)

    @property
    def tls(self) -> bool:
        """Whether upsmon wants TLS of some server."""
        return any(self.demand.asked_of(one.host) for one in self.what.monitors)

    @property
    def primary(self) -> bool:
        """Whether this host has the cable of one of its UPSes."""
        return any(one.primary for one in self.what.monitors)


def site_of(etc: Path) -> Site:
    """Read the files; raises InputError when upsmon.conf is missing or watches nothing."""
    names_of = ("upsmon.conf", "upssched.conf", "upsd.conf", "ups.conf")
    texts = {name: _text(etc / name) for name in names_of}
    what = config.monitoring(texts["upsmon.conf"])
    if not what.monitors:
        message = f"{etc / 'upsmon.conf'}: no MONITOR line: this host follows no UPS"
        raise InputError(message)
    listens = [address for address, _port in config.listens(texts["upsd.conf"])]
    names: dict[str, str] = {}
    for name in (*(one.host for one in what.monitors), *listens):
        if name not in stage.LOCAL and not config.is_address(name) and name != "*":
            names[name] = _resolve(name)
    addresses = {
        names.get(name, name)
        for name in (*(one.host for one in what.monitors), *listens)
        if name not in stage.LOCAL and name != "*"
    }
    wanted = sorted(one for one in addresses if not _is_everywhere(one))
    virtual = config.virtual(texts["ups.conf"])
    policy = _text(tiers.SETTINGS) if virtual else ""
    demand = secured.Demand.of(texts["upsmon.conf"])
    return Site(what, texts["upssched.conf"], names, tuple(wanted), virtual, demand, policy)


def refuse_unless_quiet(seen: witness.HostSeen) -> None:
    """Refuse a host that is in the middle of something; raises RefusedError, LaterError."""
    if seen.flags:
        message = (
            f"{seen.flags[0]} is there while the host runs: its next power-off would cut the output"
            " for everybody; remove it, then restart nut-server and nut-monitor"
        )
        raise RefusedError(message)
    for ups, words in seen.statuses.items():
        if {"OB", "FSD"} & set(words.split()):
            message = f"{ups} says {words}, not OL: wait until the mains are back"
            raise LaterError(message)


def play(site: Site, trigger: str) -> dict[str, Any]:
    """Play one turn in a room of its own; returns its part of the document, `namespace` with it."""
    plan = {
        "trigger": trigger,
        "names": site.names,
        "addresses": site.addresses,
        "base": {one.ups: _base(one) for one in site.looked_at},
        "limit": LIMIT_SECONDS,
    }
    argv = [*ROOM, sys.executable, "-I", sys.argv[0], "shadow", "--inside"]
    # The program may have come through a descriptor: the room's first process needs it, too.
    inside = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        close_fds=False, start_new_session=True,
    )  # fmt: skip
    assert inside.stdin is not None  # noqa: S101  # asked for above
    assert inside.stdout is not None  # noqa: S101  # asked for above
    try:
        inside.stdin.write(json.dumps(plan) + "\n")
        inside.stdin.flush()
        lines = _follow(inside)
    finally:
        inside.kill()
        inside.stdin.close()
        said = inside.stderr.read() if inside.stderr else ""
        inside.wait()
    return turn_of(trigger, lines, said.strip())


def turn_of(trigger: str, lines: list[dict[str, Any]], complaint: str) -> dict[str, Any]:
    """Return what a turn came to; pure."""
    events: list[dict[str, Any]] = []
    turn: dict[str, Any] = {"trigger": trigger, "events": events, "failed": None, "heard": []}
    lost: float | None = None
    for line in lines:
        if "kind" not in line:
            turn |= line
            continue
        if line["kind"] == "played":
            status = line["what"].split()
            lost = (line["at"] if lost is None else lost) if "OB" in status else None
        seconds = None if lost is None else round(line["at"] - lost, 2)
        events.append({**line, "at": _iso(line["at"]), "seconds": seconds})
    if turn["failed"] is None and not any(one["kind"] == "killpower" for one in events):
        turn["failed"] = f"it was ended before its end{f': {complaint}' if complaint else ''}"
    return turn


def _follow(inside: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Read what the stage says until it ends, its time is over, or our own reader is gone."""
    assert inside.stdout is not None  # noqa: S101  # asked for by the caller
    lines: list[dict[str, Any]] = []
    end = time.monotonic() + LIMIT_SECONDS + SPARE_SECONDS
    watch = select.poll()
    watch.register(inside.stdout, select.POLLIN)
    watch.register(1, 0)  # hang-up and error alone: they come unasked
    while time.monotonic() < end:
        for descriptor, event in watch.poll(1000):
            if descriptor == 1 and event & (select.POLLHUP | select.POLLERR):
                message = "who asked for this drill is gone: it was ended"
                raise CheckError(message)
            if descriptor != 1:
                line = inside.stdout.readline()
                if not line:
                    return lines
                lines.append(json.loads(line))
    return lines


def main(arguments: list[str]) -> int:
    """Play both turns, or be the stage of one; every error is one sentence."""
    parser = argparse.ArgumentParser(
        prog="power.pyz shadow", description="Play a power cut to this host's NUT; nothing stops."
    )
    parser.add_argument("--ups", help="Refuse unless this host watches it.")
    parser.add_argument("--trigger", choices=("low", "timer", "both"), default="both")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside:
        return stage.main()
    try:
        document = drill(chosen.ups, chosen.trigger)
    except ReleveError as error:
        sys.stderr.write(f"{socket.gethostname()}: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(document) + "\n")
    whole = not document["left"] and not document["faults"]
    return ExitCode.DONE if whole else ExitCode.CHECK_FAILED


def drill(ups: str | None, trigger: str) -> dict[str, Any]:
    """Look, play, look again; returns the document. Raises ReleveError."""
    if os.geteuid() != 0:
        message = "the shadow makes mounts and reads NUT's secrets: run it as root"
        raise RefusedError(message)
    site = site_of(witness.ETC)
    followed = {one.ups for one in site.what.monitors}
    if ups is not None and ups not in followed:
        message = (
            f"{witness.ETC}/upsmon.conf: no MONITOR line for {ups}, but for"
            f" {', '.join(sorted(followed))}"
        )
        raise InputError(message)
    timers = config.timers(site.upssched)
    programs = [
        site.what.notify.split(" ", 1)[0],
        config.script_of(site.upssched).split(" ", 1)[0],
    ]
    before = witness.see(site.looked_at, site.what.flag, programs)
    refuse_unless_quiet(before)
    turns = ["low", *(["timer"] if site.timed else [])] if trigger == "both" else [trigger]
    played = [play(site, one) for one in turns]
    after = witness.see(site.looked_at, site.what.flag, programs)
    spaces = [turn.pop("namespace", "") for turn in played]
    left = witness.differences(before, after)
    left += [f"process {pid} of the drill" for space in spaces if space
             for pid in witness.processes_in(space)]  # fmt: skip
    configured = _configured(site, timers)
    return {
        "format": 1,
        "host": socket.gethostname(),
        "primary": site.primary,
        "monitors": [asdict(one) for one in site.what.monitors],
        "configured": configured,
        "runs": played,
        "before": asdict(before),
        "after": asdict(after),
        "left": left,
        "faults": faults_of(site.what, configured, played),
    }


def faults_of(
    what: config.Monitoring, configured: dict[str, Any], played: list[dict[str, Any]]
) -> list[str]:
    """Return why the proof is not whole, one sentence each; pure."""
    faults = list(what.faults)
    faults += [f"{one['trigger']}: {one['failed']}" for one in played if one["failed"]]
    if not configured["argv"]:
        faults.append("upsmon.conf: no SHUTDOWNCMD: this host would never stop")
    elif not configured["runs"]:
        faults.append(f"SHUTDOWNCMD: {configured['argv'][0]} is no program on this host")
    for one in played:
        kinds = {event["kind"] for event in one["events"]}
        if not one["failed"] and configured["tls"] and "secured" not in kinds:
            faults.append(f"{one['trigger']}: TLS was asked for and was not spoken")
        if not one["failed"] and what.flag and "flag" not in kinds:
            faults.append(f"{one['trigger']}: POWERDOWNFLAG was not written")
    return faults


def _configured(site: Site, timers: tuple[config.Timer, ...]) -> dict[str, Any]:
    try:
        argv = shlex.split(site.what.shutdown)
    except ValueError:
        argv = []
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    return {
        "shutdown": site.what.shutdown,
        "argv": argv,
        "runs": bool(argv) and shutil.which(argv[0], path=path) is not None,
        "flag": site.what.flag,
        "notify": site.what.notify,
        "script": config.script_of(site.upssched),
        "timers": {one.name: one.seconds for one in timers},
        "tls": site.tls,
    }


def _base(one: config.Monitor) -> dict[str, str]:
    """Return what the UPS says now; nothing when nobody answers."""
    try:
        variables = look(one.ups, one.host, one.port).variables
    except NoAnswerError:
        return {}
    return {key: value for key, value in variables.items() if not key.startswith(NOT_PLAYED)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _is_everywhere(address: str) -> bool:
    return config.is_address(address) and (
        ip_address(address).is_unspecified or ip_address(address).is_loopback
    )


def _resolve(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        message = f"{name}, named in the NUT files, has no address: {error}"
        raise CheckError(message) from error


def _iso(unix: float) -> str:
    moment = datetime.datetime.fromtimestamp(unix, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
