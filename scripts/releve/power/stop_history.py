"""Keep how each guest ended at each stop of this host: `power.pyz guest-stops --keep`, at boot.

What is known at the stop is noted then (`abort-backups`, `stop-rest`); what came of it is read from
Proxmox VE's own records once the host is up again. A host that came up without a note of its last
life was cut while it ran, and its guests with it. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.power import guests, outcomes, tasks, whole
from releve.power.outcomes import End, Stop
from releve.power.spool import SPOOL, Alarm, raise_alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTE = Path("/var/lib/releve/power-stop.json")  # of the stop that goes on, or the last one
HISTORY = Path("/var/lib/releve/guest-stops.json")
FORMAT = 1
KEPT = 50  # stops, the newest last
NO_STOP = "the host lost its power, or broke down, before anybody asked it to stop"
LOG = logging.getLogger("guest-stops")


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the host: a number of its own, and when it began (Unix time)."""

    boot: str
    begun: float


def this_life(proc: Path = tasks.PROC) -> Life:
    """Return the life that goes on.

    The kernel's number of the boot, and when the first process began: a container that starts
    again has the same kernel.
    """
    boot = tasks.read(proc / "sys" / "kernel" / "random" / "boot_id").strip()
    first = tasks.start_ticks(1, proc) or 0
    found = re.search(r"^btime (\d+)$", tasks.read(proc / "stat"), re.MULTILINE)
    begun = (float(found[1]) if found else 0.0) + first / os.sysconf("SC_CLK_TCK")
    return Life(f"{boot}.{first}", begun)


def note(file: Path, content: dict[str, Any]) -> None:
    """Write JSON where it survives the power, whole or not at all; raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole.write(file, json.dumps(content))


def read(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file, empty when there is none that can be read."""
    try:
        content = json.loads(tasks.read(file) or "{}")
    except ValueError:
        LOG.warning("%s: is no JSON; what it told is lost", file)
        return {}
    return content if isinstance(content, dict) else {}


def ends_of(noted: dict[str, Any], before: Life, now: Life, folder: Path) -> list[Stop]:
    """Return how the guests ended when the life `before` did.

    `noted` is of another life, or empty: nobody stopped the host.
    """
    if noted.get("boot") == before.boot:
        return outcomes.last(folder, noted.get("running", ()), noted.get("at"))
    return [
        Stop(vmid, End.CUT, NO_STOP) for vmid in outcomes.started(folder, before.begun, now.begun)
    ]


def host_seconds(noted: dict[str, Any], last_word: float | None) -> float | None:
    """Return what the host's own stop took once its guests were down; None: not known.

    `last_word` is when its journal ended: shortly before its filesystems are down.
    """
    down = noted.get("guests_down_at")
    if not isinstance(down, int | float) or last_word is None or last_word < down:
        return None
    return round(last_word - down, 1)


def journal_end(before: Life, now: Life) -> float | None:
    """Return when the journal of a life ended, Unix time; None when that cannot be told."""
    kernel = before.boot.partition(".")[0]
    if kernel == now.boot.partition(".")[0]:
        return None
    command = ["journalctl", f"--boot={kernel.replace('-', '')}", "--lines=1", "--output=json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return int(json.loads(done.stdout)["__REALTIME_TIMESTAMP"]) / 1e6
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None


def entry_of(
    noted: dict[str, Any], ends: Iterable[Stop], names: dict[int, str], last_word: float | None
) -> dict[str, Any]:
    """Return one stop as it is kept."""
    return {
        "at": noted.get("at"),
        "host_seconds": host_seconds(noted, last_word),
        "guests": [
            {
                "vmid": one.vmid,
                "name": names.get(one.vmid, str(one.vmid)),
                "end": str(one.end),
                "why": one.why,
                "seconds": one.seconds,
            }
            for one in ends
        ],
    }


def update(
    kept: dict[str, Any],
    noted: dict[str, Any],
    now: Life,
    look: Callable[[dict[str, Any], Life], dict[str, Any]],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the history with the end of the last life, and that end; None: it is in there.

    `look` makes the entry of what was noted (of another life: empty) and the life that ended. The
    first history of a host has nothing to tell: nobody noted when its last life began.
    """
    if kept.get("boot") == now.boot:
        return kept, None
    stops = list(kept.get("stops", ()))
    entry = None
    if kept.get("boot"):
        before = Life(str(kept["boot"]), float(kept.get("begun", 0)))
        own = noted if noted.get("boot") == before.boot else {}
        entry = look(own, before)
        stops.append(entry)
    history = {"format": FORMAT, "boot": now.boot, "begun": now.begun, "stops": stops[-KEPT:]}
    return history, entry


def sentence(entry: dict[str, Any]) -> str:
    """Return who did not end clean, and why; nothing when all did."""
    return "; ".join(
        f"{one['name']} ({one['vmid']}) was {one['end']}: {one['why']}"
        for one in entry["guests"]
        if one["end"] != End.CLEAN
    )


def measured(history: dict[str, Any]) -> dict[str, Any]:
    """Return what stops took, by their newest clean ones: `{"guests": {vmid: s}, "host": s}`."""
    found: dict[str, float] = {}
    host = None
    for entry in history.get("stops", ()):
        host = entry["host_seconds"] if entry["host_seconds"] is not None else host
        for one in entry["guests"]:
            if one["end"] == End.CLEAN and one["seconds"] is not None:
                found[str(one["vmid"])] = one["seconds"]
    return {"guests": found, "host": host}


def keep(file: Path, noted: Path, folder: Path, spool: Path) -> dict[str, Any]:
    """Bring the history up to this boot, tell who did not end clean; raises OSError."""
    names = {live.vmid: live.guest.name for live in guests.node_of().guests}
    now = this_life()

    def look(own: dict[str, Any], before: Life) -> dict[str, Any]:
        ends = ends_of(own, before, now, folder)
        return entry_of(own, ends, names, journal_end(before, now))

    history, entry = update(read(file), read(noted), now, look)
    try:  # first: what is in the history is told no more
        if entry and (told := sentence(entry)):
            LOG.warning("%s", told)
            if spool.is_dir():  # of the host that has the UPS's cable
                raise_alarm(Alarm("guest-stops", socket.gethostname(), told), spool)
    finally:
        note(file, history)
    return history


def main(arguments: list[str]) -> int:
    """Print how the guests ended, as JSON; with --keep the end of the last life is kept first."""
    parser = argparse.ArgumentParser(prog="power.pyz guest-stops")
    parser.add_argument("--keep", action="store_true", help="at boot: add what has ended")
    parser.add_argument("--measured", action="store_true", help="print what clean stops took")
    parser.add_argument("--history", type=Path, default=HISTORY)
    parser.add_argument("--record", type=Path, default=NOTE, help="what abort-backups left")
    parser.add_argument("--tasks", type=Path, default=tasks.TASKS)
    parser.add_argument("--spool", type=Path, default=SPOOL)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.keep:
        try:
            history = keep(options.history, options.record, options.tasks, options.spool)
        except OSError as error:
            LOG.error("%s: not kept: %s", options.history, error)  # one sentence, no traceback
            return 1
    else:
        history = read(options.history)
    with contextlib.suppress(BrokenPipeError):
        json.dump(measured(history) if options.measured else history, sys.stdout)
        sys.stdout.write("\n")
    return 0
