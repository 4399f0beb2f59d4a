"""Measure a UPS on its own host: `power.pyz measure check|begin|pulled|end|show|saw|record UPS`.

`begin` runs in a unit of its own, so that it outlives the terminal and the network that asked for
it; the others answer at once, in JSON. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import fcntl
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from releve.errors import CheckError, RefusedError, ReleveError
from releve.power import guests, tasks
from releve.power.backstop import UPSSCHED, timer_of
from releve.power.gate import CONFIG, Config
from releve.power.gate_checks import LOOPBACK
from releve.power.measure import FULL_PERCENT, record_of
from releve.power.measurement import PULLS, Measurement, known_of
from releve.power.readings import OWN_LOW, read
from releve.power.sampling import (
    STOP,
    Device,
    Journal,
    Request,
    Sampler,
    UpsOfHost,
    command_for,
)
from releve.power.tier_limits import limits_of
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from releve.power.readings import Readings
    from releve.power.tier_limits import Limits

FOLDER = Path("/var/lib/releve-measure")
HOLD = Path("/run/releve-measure")
KNOWN = Path("/etc/releve/measured")
COPIES = Path("/var/lib/releve/migrate")  # /RUN/DISK/lock, held by who copies
QUICK_PERCENT = 50  # of charge, below which not even a quick test is made
SPARE_SECONDS = 30  # before the timer of the time on battery: a test has to be over by then
YES = {"yes": True, "no": False}
UNSAFE = {"OVER": "is overloaded", "OFF": "is off", "BYPASS": "is bypassed"}
# What must not be disturbed, and what a shutdown would break: PVE's kinds of tasks.
BUSY = {"vzdump": "a backup", "qmigrate": "a migration", "vzmigrate": "a migration",
        "qmrestore": "a restore", "vzrestore": "a restore", "qmclone": "a clone"}  # fmt: skip
LOG = logging.getLogger("measure")


def refusals(
    request: Request,
    now: Readings,
    result: str,
    commands: Iterable[str],
    *,
    busy: Sequence[str] = (),
    timer: int | None = None,
    limits: Limits | None = None,
) -> list[str]:
    """Return why this measurement must not begin now, one sentence each; none: it may.

    `result` is the UPS's word on its last test, `busy` what else goes on and who would be cut,
    `timer` the seconds on battery after which the site is shut down (None: there is no such timer),
    `limits` those of mode policy, whose decision nothing holds.
    """
    found = [f"it {words}" for word, words in UNSAFE.items() if word in now.status]
    if now.mains != "on":
        found.append("it is not on line: wait until the mains are back and it is charged")
    if "FSD" in now.status:
        found.append("a shutdown has begun")
    if {"CAL", "TEST"} & now.status or "progress" in result.lower():
        found.append("a test is running: wait until it is over")
    least = QUICK_PERCENT if request.how == "quick" else FULL_PERCENT
    if now.charge is not None and now.charge < least:
        found.append(f"its battery is at {now.charge:g} % of {least:g} % needed: let it charge")
    try:
        command_for(request.how, tuple(commands))
    except CheckError as error:
        found.append(str(error))
    if request.how != "quick":
        found += busy
    stops = request.stop_charge is not None or request.stop_seconds is not None
    if stops and STOP not in commands:
        found.append(f"it offers no {STOP}, so its test cannot be ended early")
    if request.how == "deep" and not request.hold and timer is not None:
        end = request.stop_seconds
        if end is None or end > timer - SPARE_SECONDS:
            found.append(
                f"the site is shut down after {timer} s on battery, and the test may last longer:"
                f" end it before {timer - SPARE_SECONDS} s, or hold that timer while you are there"
            )
    first = limits.seconds if limits else None
    if request.how == "deep" and first is not None:
        end = request.stop_seconds
        if end is None or end > max(0, first - SPARE_SECONDS):
            found.append(
                f"mode policy stops a tier after {first:.0f} s on battery, and nothing holds it:"
                " measure in mode stock, or by a plug pull"
            )
    return found


def copied_now(state: Path = COPIES, locks: Path = Path("/proc/locks")) -> list[str]:
    """Return the disks that a move fills at this moment, one sentence each.

    A move that waits to go on leaves a guest in the making, and nothing that works on it.
    """
    held = tasks.read(locks)
    return [
        f"disk {file.parent.name} of the move {file.parent.parent.name} is copied"
        for file in sorted(state.glob("*/*/lock"))
        if guests.holder_of(file, held) is not None
    ]


def what_is_busy() -> list[str]:
    """Return what goes on at this host that a shutdown would break, one sentence each."""
    found = [
        f"guest {one.vmid} is locked ({one.lock})"
        for one in guests.node_of().guests
        if one.lock and not one.in_the_making
    ]
    found += copied_now()
    found += [f"{BUSY[one.kind]} runs" for one in tasks.running() if one.kind in BUSY]
    words = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating",
             "releve-copy@*.service"]  # fmt: skip
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return found
    return found + [f"{line.split()[0]} runs" for line in done.stdout.splitlines() if line.split()]


def who_would_be_cut(ups: str, config: Path = CONFIG) -> list[str]:
    """Return who would not hear of a low battery and lose its power as it runs, a sentence each.

    Clients by the gate's configuration (in mode policy they follow virtual UPSes), and this host's
    own monitor.
    """
    try:
        guards = Config.read(config).upses
        policy = any(one.name == f"{ups}-site" for one in guards)
        followed = [
            one for one in guards if (one.name.startswith(f"{ups}-") if policy else one.name == ups)
        ]
        found = []
        for one in followed:
            clients = Upsd(one.server, one.port).clients(one.name)
            gone = sorted(set(one.logins) - clients - LOOPBACK)
            found += [f"{who} is not logged in at {one.name}: its power would go" for who in gone]
            if not clients & LOOPBACK:
                found.append(f"this host's own monitor is not logged in at {one.name}")
    except ReleveError as error:
        return [str(error)]
    return found if followed else [f"{config} does not name it: apply playbooks/power.yml"]


def text_of(file: Path) -> str:
    """Return a file's text, nothing where it cannot be read."""
    return tasks.read(file)


def checked(request: Request, device: Device) -> dict[str, Any]:
    """Return what would be measured, and why not: `{says, commands, timer, refusals}`."""
    variables, commands = device.variables(), device.commands()
    now = read(variables)
    timer = timer_of(request.ups, text_of(UPSSCHED))
    result = variables.get("ups.test.result", "")
    says = {
        "status": " ".join(sorted(now.status)),
        "charge": now.charge,
        "runtime": now.runtime,
        "load": now.load,
        "warnings": list(now.warnings),
        "own_low": OWN_LOW in variables,
    }
    busy = [] if request.how == "quick" else [*what_is_busy(), *who_would_be_cut(request.ups)]
    limits = limits_of(request.ups)
    why = refusals(request, now, result, commands, busy=busy, timer=timer, limits=limits)
    return {"says": says, "commands": sorted(commands), "timer": timer, "refusals": why}


def record(journal: Journal, known: Measurement | None) -> Measurement | None:
    """Return the record that a journal gives after what was known; None: nothing began."""
    if journal.zero is None or not journal.samples:
        return None
    request = Request(**journal.first("request"))
    # After another boot the host went down with it, whether by a low battery or by a cut.
    begun = datetime.datetime.fromtimestamp(journal.file.stat().st_mtime).astimezone()
    made = record_of(
        journal.readings(),
        ups=request.ups,
        how=request.how,
        on=begun.date(),
        commands=journal.first("commands"),
        stopped=journal.first("stopped") is not None,
    )
    return made.after(known)


@contextlib.contextmanager
def alone(ups: str, folder: Path) -> Iterator[None]:
    """Be the only one on this host who drains a battery; raises RefusedError while another does.

    Two at once would take both supplies of a host. The lock goes with its holder: who is killed
    leaves none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        message = f"{ups}: a UPS of this host is being measured or tested: wait until that is over"
        raise RefusedError(message) from error
    finally:
        os.close(lock)


def begin(request: Request, device: Device, folder: Path, known: Path, hold: Path) -> Measurement:
    """Measure to the end and keep the record in `folder`; raises RefusedError before it begins.

    What was left in this life of the host is gone on with, whatever is asked for.
    """
    with alone(request.ups, folder):
        return _begin(request, device, folder, known, hold)


def _begin(request: Request, device: Device, folder: Path, known: Path, hold: Path) -> Measurement:
    journal = Journal.open(folder / f"{request.ups}.jsonl")
    if not journal.running:
        left_over(request.ups, folder, known)
        why = checked(request, device)["refusals"]
        if why:
            message = f"{request.ups}: {'; '.join(why)}"
            raise RefusedError(message)
        (folder / f"{request.ups}.jsonl").unlink(missing_ok=True)
    if limits := limits_of(request.ups):
        request = dataclasses.replace(request, low_runtime=limits.runtime)
    hold_file = hold / f"hold-{request.ups}"
    if request.hold:
        hold.mkdir(parents=True, exist_ok=True)
    Sampler(request, device, folder, hold_file=hold_file).run()
    made = left_over(request.ups, folder, known)
    if made is None:
        message = f"{request.ups}: nobody pulled the plug in time; nothing was measured"
        raise CheckError(message)
    return made


def left_over(ups: str, folder: Path, known: Path) -> Measurement | None:
    """Make the record of a measurement that has ended, here or with the host; None: none has."""
    journal = Journal.open(folder / f"{ups}.jsonl")
    if not journal.lines or journal.running:
        return None
    if journal.first("recorded") is not None:
        return known_of(ups, folder)
    made = record(journal, known_of(ups, folder, known))
    if made is not None:
        made.write(folder / f"{ups}.json")
        journal.note(recorded=True)
    return made


def end(ups: str, folder: Path) -> str:
    """Ask the deep test that goes on to be ended at its next look; raises RefusedError."""
    journal = Journal.open(folder / f"{ups}.jsonl")
    if not journal.running or journal.first("request")["how"] != "deep":
        message = f"{ups}: no deep test goes on that could be ended"
        raise RefusedError(message)
    if STOP not in journal.first("commands"):
        message = f"{ups}: it offers no {STOP}, so its test cannot be ended early"
        raise RefusedError(message)
    (folder / f"{ups}.end").touch()
    return "{}"


def saw(ups: str, folder: Path, known: Path, seen: argparse.Namespace) -> Measurement:
    """Keep what a person saw of the output at the end of a pull: `cut`, `on_line`, `returned`."""
    left_over(ups, folder, known)
    made = known_of(ups, folder, known)
    if made is None:
        message = f"{ups}: nothing was measured that this could be kept with: measure it first"
        raise CheckError(message)
    made = made.saw(
        cut=seen.cut, cuts_on_line=YES.get(seen.on_line), returned=YES.get(seen.returned)
    )
    made.write(folder / f"{ups}.json")
    return made


def shown(ups: str, folder: Path, after: int) -> dict[str, Any]:
    """Return how far a measurement is: its lines from number `after` on, whether somebody writes.

    `alive` is false when the sampler has died: who begins again goes on where it is.
    """
    journal = Journal.open(folder / f"{ups}.jsonl")
    samples = journal.samples
    age = monotonic() - samples[-1].clock if samples and journal.same_boot else None
    zero = journal.zero
    return {
        "begin": journal.first("begin"),
        "running": journal.running,
        "alive": age is not None and age < 10,  # noqa: PLR2004  # seconds; it looks each second
        "zero": zero,
        "end": journal.first("end"),
        "request": journal.first("request"),
        "total": len(samples),
        "samples": [dataclasses.asdict(one) for one in samples[after:]],
    }


def main(arguments: Iterable[str]) -> int:
    """Run a verb; prints JSON; returns 0, or the code of the error that it names."""
    parser = argparse.ArgumentParser(prog="power.pyz measure")
    parser.add_argument(
        "what", choices=("check", "begin", "pulled", "end", "show", "saw", "record")
    )
    parser.add_argument("ups")
    parser.add_argument("--how", choices=("quick", "deep", *PULLS), default="quick")
    parser.add_argument("--stop-charge", type=float)
    parser.add_argument("--stop-seconds", type=float)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--cut", choices=("proven", "none"))
    parser.add_argument("--on-line", choices=tuple(YES))
    parser.add_argument("--returned", choices=tuple(YES))
    parser.add_argument("--after", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--known", type=Path, default=KNOWN)
    parser.add_argument("--hold-folder", type=Path, default=HOLD)
    options = parser.parse_args(list(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    request = Request(
        options.ups, options.how, options.stop_charge, options.stop_seconds, options.hold
    )
    try:
        told = _run(options, request)
    except ReleveError as error:
        LOG.error("measure: %s", error)  # one sentence, no traceback
        return error.exit_code
    except OSError as error:
        LOG.error("measure: %s", error)
        return 1
    sys.stdout.write(told + "\n")
    return 0


def _run(options: argparse.Namespace, request: Request) -> str:  # noqa: PLR0911  # a table
    device, folder, known = UpsOfHost(request.ups), options.folder, options.known
    if options.what == "check":
        return json.dumps(checked(request, device))
    if options.what == "begin":
        return begin(request, device, folder, known, options.hold_folder).as_json()
    if options.what == "pulled":
        part = folder / f".{request.ups}.pulled"
        part.write_text(f"{monotonic()}", encoding="utf-8")
        part.replace(folder / f"{request.ups}.pulled")
        return "{}"
    if options.what == "end":
        return end(request.ups, folder)
    if options.what == "show":
        return json.dumps(shown(request.ups, folder, options.after))
    if options.what == "saw":
        return saw(request.ups, folder, known, options).as_json()
    left_over(request.ups, folder, known)
    made = known_of(request.ups, folder, known)
    return made.as_json() if made else "null"
