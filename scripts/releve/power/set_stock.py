"""`power.pyz thresholds`: what stock NUT has to watch for on this host, and with `--set` it does.

Prints JSON: UPS -> its lines of ups.conf, its timer, why, and whether that stands already. The
budget is reckoned anew first, for the guests, the battery and the record of now, so that the deploy
and the night say the same. Standard library only; tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode, InputError, ReleveError
from releve.power import guests, tasks
from releve.power.budget_watch import (
    BUDGETS,
    MEASURED,
    NUT,
    alone,
    now_of,
    settings_from,
    stop_seconds,
)
from releve.power.readings import read
from releve.power.spool import SPOOL, Alarm, raise_alarm
from releve.power.stock import (
    Numbers,
    Standing,
    held,
    numbers_of,
    standing_of,
    with_lines,
    with_timer,
)
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from releve.power.spool import Severity

    Say = Callable[[str], Mapping[str, str] | None]

HOLD = Path("/run/releve-measure")
HOLD_SECONDS = 10.0
RESTARTS = 4
RESTART_SECONDS = 90.0
BUSY = {"OB", "CAL", "DISCHRG", "TEST", "FSD"}  # no moment to be without the driver


@dataclass(frozen=True, slots=True)
class Found:
    """One UPS: what it has to be, what stands, and whether its driver may be restarted now.

    `is_read`: its driver goes by what stands. Not so where somebody was killed between the two.
    """

    ups: str
    numbers: Numbers
    standing: Standing
    calm: bool
    is_read: bool = True

    @property
    def lines_differ(self) -> bool:
        """Whether ups.conf has to change."""
        unit = self.numbers.grain
        own, there = self.numbers.runtime_low, self.standing.runtime_low
        return (
            self.numbers.charge_low != self.standing.charge_low
            or (own is None) != (there is None)
            or math.ceil((own or 0) / unit) != math.ceil((there or 0) / unit)
        )

    @property
    def timer_differs(self) -> bool:
        """Whether upssched.conf has to change."""
        return self.standing.timer != self.numbers.timer

    @property
    def stands(self) -> bool:
        """Whether nothing has to be done."""
        return self.is_read and not (self.lines_differ or self.timer_differs)


@dataclass(frozen=True, slots=True)
class Here:
    """What is known on this host: guests, their last stops, records, what UPSes and files say."""

    node: guests.Node
    seen: dict[int, float]
    records: Callable[[str], dict[str, Any]]
    say: Say
    texts: tuple[str, str]  # ups.conf, upssched.conf
    hold: bool = False  # own thresholds neither come nor go


def find(budgets: dict[str, Any], here: Here) -> list[Found]:
    """Return each UPS of mode stock; raises KeyError, TypeError, ValueError, InputError."""
    found = []
    for ups, deployed in budgets.items():
        if settings_from(deployed["settings"]).mode != "stock":
            continue
        settings, budget = now_of(deployed, here.records(ups), here.node, here.seen, planned=True)
        said, standing = here.say(ups), standing_of(*here.texts, ups)
        readings = None if said is None else read(said)
        numbers = numbers_of(settings, budget, readings, standing)
        numbers = held(numbers, standing) if here.hold else numbers
        calm = readings is not None and readings.mains == "on" and not readings.status & BUSY
        # By night only: one that a restart does not bring to it is not to be restarted all day.
        is_read = here.hold or said is None or standing.is_read(said)
        found.append(Found(ups, numbers, standing, calm, is_read))
    return found


def find_all(budgets: dict[str, Any], here: Here) -> tuple[list[Found], list[str]]:
    """Return each UPS of mode stock, and why another one cannot be reckoned; raises as `find`.

    A record that is not sound keeps nobody from the next UPS.
    """
    found, faults = [], []
    for ups, deployed in budgets.items():
        try:
            found += find({ups: deployed}, here)
        except (InputError, json.JSONDecodeError) as error:
            faults.append(f"{ups}: its record cannot be read, its thresholds stay: {error}")
    return found, faults


def set_all(
    found: list[Found], nut: Path, restart: Callable[[str], None], unread: Sequence[str] = ()
) -> Iterator[str]:
    """Bring NUT's files to it; yield one sentence for each change. Raises InputError, OSError.

    A driver that does not start keeps nobody from the next UPS: it is named at the end, with who
    could not be reckoned.
    """
    faults = list(unread)
    for one in found:
        try:
            yield from _set(one, nut, restart)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))


def _set(one: Found, nut: Path, restart: Callable[[str], None]) -> Iterator[str]:
    numbers, ups = one.numbers, one.ups
    if one.timer_differs and None in {numbers.timer, one.standing.timer}:
        yield f"{ups}: a timer comes or goes by a deploy only: run playbooks/power.yml"
    elif one.timer_differs:
        _rewrite(nut / "upssched.conf", with_timer, ups, numbers.timer)
        yield f"{ups}: the timer goes from {one.standing.timer} to {numbers.timer} s on battery"
    if one.lines_differ and one.calm:
        file = nut / "ups.conf"
        before = file.stat().st_mtime_ns
        _rewrite(file, with_lines, ups, numbers.lines)
        restart(ups)
        # The other drivers' sections are as they were: none of them is older than its file.
        os.utime(file, ns=(before, before))
        own = ", ".join(numbers.lines[1:]) or "the UPS's own word"
        yield f"{ups}: a low battery is now {own} ({numbers.why})"
    elif not one.is_read and one.calm:
        restart(ups)
        yield f"{ups}: its driver went by another low battery than ups.conf says: restarted"


def _rewrite(file: Path, change: Callable[..., str], *words: object) -> None:
    """Write a file anew, whole or not at all, with its owner and mode."""
    # Somebody's remark in another encoding stays as it is.
    text = change(file.read_text(encoding="utf-8", errors="surrogateescape"), *words)
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)  # at no moment can others read what is secret in it
    status = file.stat()
    with part.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        with contextlib.suppress(PermissionError):  # of a test, which is nobody's root
            os.fchown(stream.fileno(), status.st_uid, status.st_gid)
        os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def restart_driver(ups: str, wait: float = 3) -> None:
    """Let the driver read its section; raises InputError with systemd's words.

    NUT's own enumerator sees the file change, too, and may cancel the one restart by its own.
    """
    unit = f"nut-driver@{ups}.service"
    said = ""
    for attempt in range(RESTARTS):
        if attempt:
            time.sleep(wait)
            _systemctl("reset-failed", unit)
        code, said = _systemctl("restart", unit)
        if not code:
            return
    message = f"{unit}: {said or 'did not start'}; see journalctl -u {unit}"
    raise InputError(message)


def _systemctl(*words: str) -> tuple[int, str]:
    """Return systemd's code and what it said."""
    try:
        done = subprocess.run(
            ["systemctl", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=RESTART_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 1, f"systemctl has not answered for {RESTART_SECONDS:g} s"
    return done.returncode, done.stderr.strip()


def said_by(link: Upsd, hold: Path = HOLD) -> Say:
    """Return what asks upsd for a UPS; None: it says nothing, or is being measured."""

    def say(ups: str) -> Mapping[str, str] | None:
        with contextlib.suppress(OSError):
            if abs(time.time() - (hold / f"hold-{ups}").stat().st_mtime) < HOLD_SECONDS:
                return None
        with contextlib.suppress(ReleveError):
            return link.variables(ups)
        return None

    return say


def main(arguments: list[str]) -> int:
    """Print what has to stand, and bring it about with --set."""
    parser = argparse.ArgumentParser(prog="power.pyz thresholds")
    parser.add_argument("--budgets", default=str(BUDGETS), help="a file, or - for stdin")
    parser.add_argument("--measured", type=Path, default=MEASURED)
    parser.add_argument("--pve", type=Path, default=guests.PVE)
    parser.add_argument("--nut", type=Path, default=NUT)
    parser.add_argument("--spool", type=Path, default=SPOOL)
    parser.add_argument("--set", action="store_true", dest="is_set", help="change NUT's files")
    parser.add_argument("--hold", action="store_true", help="own thresholds do not come or go")
    parser.add_argument("--tell", action="store_true", help="raise an alarm for what was changed")
    parser.add_argument("--quiet", action="store_true", help="print what was changed, no JSON")
    options = parser.parse_args(arguments)
    try:
        with alone(BUDGETS if options.budgets == "-" else Path(options.budgets)):
            found, unread = look(options, said_by(Upsd()))
            if unread and not options.is_set:
                raise InputError("; ".join(unread))
            done = []
            changes = set_all(found, options.nut, restart_driver, unread) if options.is_set else ()
            for sentence in changes:
                done.append(sentence)
                sys.stderr.write(sentence + "\n")
                if options.tell and options.spool.is_dir():
                    _tell(sentence, options.spool)
    except ReleveError as error:
        sys.stderr.write(f"power.pyz thresholds: {error}\n")
        if options.tell and not options.hold and options.spool.is_dir():  # each night
            _tell(f"{gethostname()}: not all could be set: {error}", options.spool, "failure")
        return error.exit_code
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.filename != options.budgets:
            sys.stderr.write(f"power.pyz thresholds: {error}\n")
            return ExitCode.FAILED
        sys.stderr.write(
            f"{options.budgets}: no budget can be read there ({error}); run playbooks/power.yml\n"
        )
        return ExitCode.USAGE
    told = {one.ups: one.numbers.as_json() | {"stands": one.stands} for one in found}
    if not options.quiet:
        sys.stdout.write(json.dumps({"changed": done, "ups": told}) + "\n")
    return ExitCode.DONE


def _tell(sentence: str, spool: Path, severity: Severity = "info") -> None:
    """Raise an alarm for what was changed; a full disk keeps nobody from the next change."""
    ups, _, text = sentence.partition(": ")
    try:
        raise_alarm(Alarm("thresholds", ups, text, severity), spool)
    except OSError as error:
        sys.stderr.write(f"power.pyz thresholds: nobody is told: {error}\n")


def look(options: argparse.Namespace, say: Say) -> tuple[list[Found], list[str]]:
    """Return what has to stand on this host, and for whom that cannot be said."""
    if options.budgets == "-":
        budgets = json.load(sys.stdin)
    else:
        budgets = json.loads(Path(options.budgets).read_text(encoding="utf-8"))

    def records(ups: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(tasks.read(options.measured / f"{ups}.json") or "{}")
        return content

    texts = (tasks.read(options.nut / "ups.conf"), tasks.read(options.nut / "upssched.conf"))
    node = guests.node_of(options.pve)
    seen = stop_seconds(tasks.TASKS)
    return find_all(budgets, Here(node, seen, records, say, texts, options.hold))
