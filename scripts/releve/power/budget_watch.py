"""Does the budget still hold on this host: its guests as they are now, its battery as old as now.

For every night, for each change of a guest, for the moment at which the mains go, and for a deploy,
whose thresholds follow. Exit 0: it holds; 4: it does not, one sentence per fault. Standard library
only; nothing is changed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode, ReleveError
from releve.power import guests, outcomes, tasks
from releve.power.budget import Budget, Settings, budget_of, with_live_day
from releve.power.budget_alarm import OCCASIONS, Told, alarms_of, live_fault
from releve.power.readings import read
from releve.power.spool import SPOOL, raise_alarm
from releve.power.stock import standing_of
from releve.power.stops import LOCKS, Handling
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from releve.power.guests import Live, Node
    from releve.power.readings import Readings
    from releve.power.stock import Standing

BUDGETS = Path("/etc/releve/power-budget.json")  # UPS -> the budget with its settings
MEASURED = Path("/etc/releve/measured")
NUT = Path("/etc/nut")
STATE = Path("/var/lib/releve-budget/told.json")
# What a budget or a record raises that somebody has changed by hand.
UNREADABLE = (ReleveError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError)
DEPLOY = "deploy"  # a look of the roles': what they are to write is no fault yet
ASKED = Path("/run/nut/budget-asked")  # left by what upsmon calls when the mains go


@dataclass(frozen=True, slots=True)
class Watched:
    """One UPS's budget of now: what changed since the deploy, and what is wrong."""

    ups: str
    budget: Budget
    changes: list[str]
    faults: list[str]


def settings_from(content: dict[str, Any]) -> Settings:
    """Return the settings of JSON; keys that are not known are of another version and left out."""
    known = {one.name for one in fields(Settings)}
    return Settings(**{key: value for key, value in content.items() if key in known})


def entry_of(live: Live, measured: float | None) -> dict[str, Any]:
    """Return a guest as the settings have it."""
    guest = live.guest
    return {
        "name": guest.name,
        "order": guest.order,
        "stop_seconds": guest.down,
        "vmid": live.vmid,
        "kind": guest.kind,
        "measured_seconds": measured,
    }


def with_node(
    one: Settings, node: Node, measured: dict[int, float], *, planned: bool = False
) -> Settings:
    """Return the settings with the guests of now.

    `planned`: those of the settings that are not here (yet) count too, as for a threshold. One in
    the making is not here yet: without its `startup` it would count the 180 s of PVE's default.
    Of a host that has no Proxmox VE nothing is known but the settings.
    """
    if not node.told:
        return one
    whole = [live for live in node.guests if not live.in_the_making]
    entries = [entry_of(live, measured.get(live.vmid)) for live in whole]
    if planned:
        here = {key for live in whole for key in (live.vmid, live.guest.name)}
        entries += [each for each in one.guests if (each.get("vmid") or each["name"]) not in here]
    workers = node.workers if node.guests else one.workers
    return replace(one, guests=entries, workers=workers)


def with_record(one: Settings, record: dict[str, Any]) -> Settings:
    """Return the settings with what a later measurement says; an older one changes nothing."""
    day, seconds = record.get("on"), record.get("capacity_seconds")
    if not isinstance(day, str) or not isinstance(seconds, int):
        return one
    if day <= one.record.get("on", ""):
        return one
    return replace(one, capacity_seconds=seconds, record=record)


def changes(before: Settings, now: Settings) -> list[str]:
    """Return one sentence for each difference that bears on the budget."""
    found = []
    old, new = _by_name(before.guests), _by_name(now.guests)
    found += [f"guest {name} is new: {_told(new[name])}" for name in new if name not in old]
    found += [f"guest {name} is gone" for name in old if name not in new]
    for name in new:
        if name in old and _told(new[name]) != _told(old[name]):
            found.append(f"guest {name}: {_told(old[name])} became {_told(new[name])}")
    for key in ("workers", "capacity_seconds"):
        if getattr(before, key) != getattr(now, key):
            found.append(f"{key}: {getattr(before, key)} became {getattr(now, key)}")
    return found


def _by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(entry["name"]): entry for entry in entries}


def _told(entry: dict[str, Any]) -> str:
    down, order = entry.get("stop_seconds"), entry.get("order")
    place = "no order" if order is None else f"order {order}"
    return f"{place}, {'no down (180 s)' if down is None else f'{down} s'}"


def guest_faults(node: Node, alive: Iterable[tasks.Task]) -> list[str]:
    """Return what would keep a guest from stopping that no budget can count."""
    busy = tasks.worked_on(alive)
    found = []
    for live in node.guests:
        who = f"guest {live.guest.name} ({live.vmid})"
        if live.ha:
            found.append(
                f"{who} is managed by HA: the host's stop does not wait for it; take it out of HA"
            )
        if live.hookscript:
            found.append(
                f"{who} has a hookscript ({live.hookscript}), whose time nobody limits: remove it"
            )
        if not live.up:
            continue  # there is nothing to stop, and PVE lets nobody start it while it is locked
        if live.lock and LOCKS.get(live.lock) is not Handling.ABORT and str(live.vmid) not in busy:
            tool = "qm" if live.guest.kind == "qemu" else "pct"
            found.append(
                f"{who} is locked ({live.lock}) and no task works on it: Proxmox VE would not stop "
                f"it; look why, then {tool} unlock {live.vmid}"
            )
    return found


def now_of(
    deployed: dict[str, Any],
    record: dict[str, Any],
    node: Node,
    seen: dict[int, float],
    *,
    planned: bool = False,
) -> tuple[Settings, Budget]:
    """Return the settings and the budget of now; raises KeyError, TypeError, ValueError."""
    settings = with_node(settings_from(deployed["settings"]), node, seen, planned=planned)
    now = with_live_day(with_record(settings, record))
    return now, budget_of(now)


def watch(
    ups: str,
    deployed: dict[str, Any],
    record: dict[str, Any],
    node: Node,
    seen: dict[int, float],
    *,
    standing: Standing | None = None,
) -> Watched:
    """Reckon the budget anew and compare; raises KeyError, TypeError, ValueError for bad JSON.

    `standing` is what NUT's files say of a UPS of mode stock, whose numbers follow each night;
    None: what was deployed stands.
    """
    before = settings_from(deployed["settings"])
    now, budget = now_of(deployed, record, node, seen)
    found = list(budget.faults)
    if not found and (late := _late(deployed, budget, standing)):
        found.append(late)
    return Watched(ups, budget, changes(before, now), found)


def _late(deployed: dict[str, Any], budget: Budget, standing: Standing | None) -> str | None:
    """Return the number by which the shutdown would start too late, None: by none."""
    timer = int(deployed["timer"])
    if standing is not None and standing.timer is not None:
        timer = standing.timer
        low = standing.runtime_low
        if low is not None and budget.runtime_low is not None and low < budget.runtime_low:
            return (
                f"the shutdown has to start with {budget.runtime_low} s of runtime left, the "
                f"threshold is at {low} s: run playbooks/power.yml"
            )
    elif budget.trigger > int(deployed["trigger"]):
        return (
            f"the shutdown now needs {budget.trigger} s with its margin, but starts for "
            f"{deployed['trigger']} s: run playbooks/power.yml, which sets the thresholds anew"
        )
    if budget.timer < timer:
        return (
            f"the shutdown has to start after {budget.timer} s on battery at the latest, the timer "
            f"is at {timer} s: run playbooks/power.yml"
        )
    return None


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait until no other look goes on; a folder that is not there keeps nobody away.

    By the file's folder: a deploy puts a new file in its place.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder = os.open(file.parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield


def stop_seconds(folder: Path) -> dict[int, float]:
    """Return what each guest's last clean stop took, by Proxmox VE's own records."""
    return {
        one.vmid: one.seconds
        for one in outcomes.last(folder)
        if one.end is outcomes.End.CLEAN and one.seconds is not None
    }


def main(arguments: list[str]) -> int:
    """Reckon all budgets of this host anew; print what changed and what is wrong."""
    parser = argparse.ArgumentParser(prog="power.pyz watch-budget")
    parser.add_argument("--budgets", type=Path, default=BUDGETS, help="- is the input")
    parser.add_argument("--measured", type=Path, default=MEASURED)
    parser.add_argument("--pve", type=Path, default=guests.PVE)
    parser.add_argument("--run", type=Path, default=guests.RUN)
    parser.add_argument("--nut", type=Path, default=NUT)
    parser.add_argument("--on", choices=(*OCCASIONS, DEPLOY), default="night", help="why")
    parser.add_argument("--tell", action="store_true", help="raise an alarm for people")
    parser.add_argument("--state", type=Path, default=STATE, help="what was told")
    parser.add_argument("--asked", type=Path, default=ASKED, help="who asked, removed first")
    parser.add_argument("--spool", type=Path, default=SPOOL)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    upsd = Upsd()
    try:
        if options.on == "on-battery":
            options.asked.unlink(missing_ok=True)
        with alone(options.budgets):
            watched, faults = _look(options, upsd)
            if options.tell:
                _tell(options, watched, faults, upsd)
    except (OSError, *UNREADABLE) as error:
        fault = f"{options.budgets}: no budget can be read there ({error}); run playbooks/power.yml"
        sys.stderr.write(f"{fault}\n")
        if options.tell:
            with contextlib.suppress(OSError):  # of a disk that takes no alarm
                _tell(options, [], [fault], upsd)
        return ExitCode.USAGE
    _print(watched, faults, as_json=options.as_json)
    holds = not faults and not any(one.faults for one in watched)
    return ExitCode.DONE if holds else ExitCode.CHECK_FAILED


def _look(options: argparse.Namespace, upsd: Upsd) -> tuple[list[Watched], list[str]]:
    """Return the budgets of now, and what would keep a guest from stopping."""
    node = guests.node_of(options.pve, run=options.run)
    faults = [] if options.on == DEPLOY else guest_faults(node, tasks.running())
    if faults:  # a task that ended between both looks has left no lock
        again = guest_faults(guests.node_of(options.pve, run=options.run), tasks.running())
        faults = [one for one in faults if one in again]
    here = (node, stop_seconds(tasks.TASKS))
    watched = []
    text = sys.stdin.read() if str(options.budgets) == "-" else options.budgets.read_text("utf-8")
    for ups, deployed in json.loads(text).items():
        try:
            watched.append(_look_at(options, upsd, ups, deployed, here))
        except UNREADABLE as error:  # the others are looked at all the same
            faults.append(
                f"{ups}: its budget or its record cannot be read, so that nobody knows whether the"
                f" shutdown is covered ({error}); run playbooks/power.yml"
            )
    return watched, faults


def _look_at(
    options: argparse.Namespace,
    upsd: Upsd,
    ups: str,
    deployed: dict[str, Any],
    here: tuple[Node, dict[int, float]],
) -> Watched:
    """Return the budget of one UPS; raises what `UNREADABLE` names."""
    if options.on == DEPLOY:
        settings, budget = now_of(deployed, {}, *here, planned=True)
        before = settings_from(deployed["settings"])
        return Watched(ups, budget, changes(before, settings), budget.faults)
    texts = (tasks.read(options.nut / "ups.conf"), tasks.read(options.nut / "upssched.conf"))
    record = json.loads(tasks.read(options.measured / f"{ups}.json") or "{}")
    one = watch(ups, deployed, record, *here, standing=standing_of(*texts, ups))
    if options.on == "on-battery":
        settings, budget = now_of(deployed, record, *here)
        live = live_fault(settings, budget, readings_of(upsd, ups))
        one.faults.extend([live] if live else [])
    return one


def readings_of(upsd: Upsd, ups: str) -> Readings | None:
    """Return what a UPS says, None when nothing is heard of it."""
    try:
        return read(upsd.variables(ups))
    except ReleveError:
        return None


def _tell(
    options: argparse.Namespace, watched: list[Watched], faults: list[str], upsd: Upsd
) -> None:
    """Raise the alarms, and remember what was told; raises OSError.

    What was told of a battery in a cut is not over while the mains are away: only the mains end it.
    """
    told = Told.read(options.state)
    found = {one.ups: one.faults for one in watched}
    stands = {
        ups: told.faults[ups]
        for ups, now in found.items()
        if not now and told.faults.get(ups) and not _has_mains(readings_of(upsd, ups))
    }
    found = {ups: now for ups, now in found.items() if ups not in stands} | {gethostname(): faults}
    for alarm in alarms_of(told, found, options.on):
        raise_alarm(alarm, options.spool)
    Told(told.faults | found).write(options.state)


def _has_mains(readings: Readings | None) -> bool:
    return readings is not None and readings.mains == "on"


def _print(watched: list[Watched], faults: list[str], *, as_json: bool) -> None:
    if as_json:
        content = {"faults": faults, "ups": {one.ups: asdict(one) for one in watched}}
        sys.stdout.write(json.dumps(content) + "\n")
        return
    for one in watched:
        for line in one.changes:
            sys.stdout.write(f"{one.ups}: changed: {line}\n")
        for line in (*one.faults, *one.budget.warnings):
            sys.stdout.write(f"{one.ups}: {line}\n")
        if not one.faults:
            spare = one.budget.margin
            left = "its battery was never measured" if spare is None else f"{spare} s to spare"
            sys.stdout.write(f"{one.ups}: holds, {left}\n")
    for line in faults:
        sys.stdout.write(line + "\n")
