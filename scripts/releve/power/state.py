"""Say how the UPSes of this host are: `power.pyz state` prints JSON, for the report.

What it can be believed about and why, what was measured, its battery tests, whether its link
lives, when its battery is due, how the guests ended at the last stop, and whether a test of the
alarms was seen to arrive. What is not known is null, never a number. Standard library only.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.errors import InputError, ReleveError
from releve.power import stop_history, tasks
from releve.power.backstop import UPSSCHED, timer_of
from releve.power.battery import Outcome, outcomes
from releve.power.doubts import sentences
from releve.power.ladder import Known, rung_of, warnings_of
from releve.power.notify import Config as Targets
from releve.power.notify import Tried
from releve.power.readings import OWN_LOW, read
from releve.power.upsd import NoAnswerError, Upsd
from releve.power.watch import SENTENCES, Memory, look
from releve.power.watching import Places, Watch, Watched, config_of, today_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG = Path("/etc/releve/watch.json")
LOG = logging.getLogger("state")


def state_of(watch: Watch, one: Watched, now: float) -> dict[str, Any]:
    """Return what is known of one UPS at a moment (Unix)."""
    memory = Memory.read(watch.places.state / f"{one.name}.json", now)
    memory.heard = now  # written each minute only: silence is told by `error`
    error = ""
    variables: Mapping[str, str] | None = None
    try:
        variables = watch.upsd.variables(one.name)
    except (NoAnswerError, ReleveError) as fault:
        error = str(fault)
    tests = tuple(outcomes(watch.places.tests, one.name))
    measured = watch.measured(one.name)
    known = watch.known(one, tests, measured, variables or memory.values, today_of(now))
    # The watch's own memory is left as it is: it goes on with it.
    wrong = look(memory, now, variables, known, today_of(now))
    said: dict[str, Any] = {"rung": None, "warnings": [], "own_thresholds": None}
    if variables is not None:
        readings, believed = read(variables), Known.of(measured)
        said = {
            "rung": rung_of(readings, believed),
            "warnings": [text for _, text in sentences(warnings_of(readings, believed))],
            "own_thresholds": OWN_LOW in variables,
        }
    return {
        **said,
        "status": None if variables is None else variables.get("ups.status", ""),
        "error": error,
        "timer": timer_of(one.name, tasks.read(UPSSCHED)),
        "changed": memory.changed,
        "proof": known.proof,
        "tested": one.tested,
        "wrong": {topic: _sentence(topic, details) for topic, details in wrong.items()},
        "record": json.loads(measured.as_json()) if measured else None,
        "quick": _newest(tests, "quick"),
        "deep": _newest(tests, "deep"),
        "due": known.due.isoformat() if known.due else None,
        "due_why": known.due_why,
    }


def _sentence(topic: str, details: str) -> str:
    return ": ".join(filter(None, (SENTENCES.get(topic, ("", "", ""))[1], details)))


def _newest(tests: Iterable[Outcome], kind: str) -> dict[str, Any] | None:
    found = [one for one in tests if one.kind == kind]
    if not found:
        return None
    return {**dataclasses.asdict(found[-1]), "passed": found[-1].passed, "why": found[-1].why}


def last_stop(file: Path = stop_history.HISTORY) -> dict[str, Any]:
    """Return when this host last stopped, and how each guest ended: `{at, guests}`; `at` null: cut.

    Nothing is on record before the first stop.
    """
    stops = stop_history.read(file).get("stops") or [{"at": None, "guests": []}]
    guests = [
        {key: one[key] for key in ("vmid", "name", "end", "why")} for one in stops[-1]["guests"]
    ]
    return {"at": stops[-1]["at"], "guests": guests}


def alarms() -> list[dict[str, Any]]:
    """Return each target that alarms go to, and when a test of it was last seen to arrive."""
    tried = Tried.read()
    return [
        {"shown": one.shown, **(tried.get(one.id) or {"at": None, "sent": None, "seen": None})}
        for one in Targets.read().targets
    ]


def document(config: Path, now: float) -> dict[str, Any]:
    """Return all of it; raises InputError for a configuration that is wrong."""
    watched = config_of(config)
    watch = Watch(watched, Places(), Upsd())
    at = datetime.datetime.fromtimestamp(now, tz=datetime.UTC)
    return {
        "format": 1,
        "at": at.isoformat(timespec="seconds"),
        "upses": {one.name: state_of(watch, one, now) for one in watched},
        "stop": last_stop(),
        "alarms": alarms(),
    }


def main(arguments: Iterable[str]) -> int:
    """Print it; returns 0, or the code of the error that it names."""
    parser = argparse.ArgumentParser(prog="power.pyz state")
    parser.add_argument("--config", type=Path, default=CONFIG)
    options = parser.parse_args(list(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        told = document(options.config, time.time())
    except InputError as error:
        LOG.error("state: %s", error)  # one sentence, no traceback
        return error.exit_code
    sys.stdout.write(json.dumps(told) + "\n")
    return 0
