"""`believe FILE|UPS@HOST`: what a UPS can be believed about, and what would stop the site.

FILE is the output of `upsc` or a .dev file of NUT's device dumps library. Standard library only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode, InputError, ReleveError
from releve.power.commands import battery_tests, cut_of
from releve.power.doubts import sentences
from releve.power.dump import Dump, parse
from releve.power.ladder import (
    DERATE,
    Known,
    Moment,
    Site,
    as_on_battery,
    decide,
    rung_of,
    warnings_of,
)
from releve.power.measurement import Measurement
from releve.power.readings import UNIT, read
from releve.power.thresholds import demands_of, thresholds_of
from releve.power.upsd import Upsd, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.power.readings import Readings

VALUES = ("runtime", "charge", "charge_guess", "load", "voltage", "input_voltage")
LARGEST = 1_000_000  # bytes; what is larger is no dump of a UPS
UNITS = {"runtime": "s", "charge": "%", "charge_guess": "%", "load": "%", "voltage": "V",
         "input_voltage": "V"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about a UPS: seconds, None where not given.

    `need`: from the decision to the last halt, margin included. `capacity`: measured from full at
    the site's load, where there is no record (`measured`) to say so. `runtime_unit`: what the
    device counts its runtime in (seconds, minutes), where its values do not say so themselves.
    """

    need: float | None = None
    derate: float = DERATE
    capacity: float | None = None
    measured: Path | None = None
    accept_lb_only: bool = False
    runtime_unit: str = "seconds"

    def __post_init__(self) -> None:
        """Raise InputError for numbers that no site and no battery can have."""
        for name in ("need", "capacity"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < math.inf:
                message = f"--{name}: {seconds:g} is no time; right is a number of seconds above 0"
                raise InputError(message)
        if not 0 < self.derate <= 1:
            message = f"--derate: {self.derate:g} is no share; right is a number above 0, up to 1"
            raise InputError(message)


def source_of(target: str) -> Dump:
    """Return what a file holds or what upsd says (UPS@HOST, UPS@HOST:PORT).

    Raises InputError for what is neither, and upsd's NoAnswerError.
    """
    file = Path(target)
    if file.is_file():
        try:
            with file.open("rb") as stream:
                dump = parse(stream.read(LARGEST))
        except OSError as error:
            message = f"{target}: cannot be read ({error.strerror}); give a file that you may read"
            raise InputError(message) from error
        if not dump.variables:
            message = f"{target}: no line `name: value` of a UPS; right is the output of upsc"
            raise InputError(message)
        return dump
    ups, _, server = target.partition("@")
    try:
        host, port = place_of(server)
    except ValueError:
        host, port = "", 0
    if not ups or not host:
        message = f"{target}: no such file, and no UPS@HOST; right is a file or ups@localhost"
        raise InputError(message)
    upsd = Upsd(host, port)
    return Dump(upsd.variables(ups), tuple(sorted(upsd.commands(ups))))


def known_of(asked: Asked) -> tuple[Known, bool | None]:
    """Return what was measured, and whether a plug pull proved the mains; raises InputError."""
    record = Measurement.read(asked.measured) if asked.measured else None
    known = Known.of(record)
    if asked.capacity is not None:
        known = dataclasses.replace(known, capacity_seconds=asked.capacity)
    return known, record.mains_proven if record else None


def judge(dump: Dump, asked: Asked) -> dict[str, Any]:
    """Return all that can be said, as it is printed with --json (docs: ups-ladder)."""
    unit = {} if asked.runtime_unit == "seconds" else {UNIT: asked.runtime_unit}
    readings = read({**dump.variables, **unit})
    known, proven = known_of(asked)
    demands = demands_of(readings, known, accept_lb_only=asked.accept_lb_only, mains_proven=proven)
    report: dict[str, Any] = {
        "format": 1,
        "model": dump.variables.get("device.model") or dump.variables.get("ups.model") or None,
        "driver": readings.driver or None,
        "status": dump.variables.get("ups.status"),
        "rung": rung_of(readings, known),
        "values": {name: getattr(readings, name) for name in VALUES},
        "capacity_seconds": known.capacity_seconds,
        "warnings": [
            {"id": warning, "text": text}
            for warning, text in sentences(warnings_of(readings, known))
        ],
        "demands": [dataclasses.asdict(one) for one in demands],
        "cut": cut_of(dump.commands, dump.dead_commands) if dump.commands else None,
        "tests": list(battery_tests(dump.commands)),
        "now": None,
        "if_on_battery": None,
        "thresholds": None,
    }
    return report if asked.need is None else {**report, **_decisions(readings, known, asked)}


def _decisions(readings: Readings, known: Known, asked: Asked) -> dict[str, Any]:
    """Say what would be decided now, and were the mains to go and a low battery to stand."""
    site = Site(need=asked.need or 0, derate=asked.derate)
    moment = Moment(lb_held=site.lb_debounce)
    found = {
        "now": decide(readings, site, known, moment),
        "if_on_battery": decide(as_on_battery(readings), site, known, moment),
    }
    said = {
        name: {"decision": one.decision, "by": one.by or None, "why": one.why}
        for name, one in found.items()
    }
    return {**said, "thresholds": dataclasses.asdict(thresholds_of(readings, site, known))}


def lines_of(report: dict[str, Any]) -> list[str]:
    """Return the report as a table for a person."""
    values = [
        f"{name.replace('_', ' ')} {value:g} {UNITS[name]}"
        for name, value in report["values"].items()
        if value is not None
    ]
    capacity = report["capacity_seconds"]
    rows = [
        ("device", f"{report['model'] or 'unknown'} ({report['driver'] or 'unknown driver'})"),
        ("status", report["status"] or "none"),
        ("rung", report["rung"]),
        ("believed", ", ".join(values) or "nothing"),
        ("capacity", f"{capacity:g} s measured" if capacity else "not measured"),
        ("can cut", report["cut"] or "no list of commands"),
    ]
    for name, title in (("now", "now"), ("if_on_battery", "mains gone")):
        if report[name]:
            rows.append((title, f"{report[name]['decision']}: {report[name]['why']}"))
    if report["thresholds"]:
        rows.extend(_thresholds(report["thresholds"]))
    rows.extend((one["id"], one["text"]) for one in report["warnings"])
    rows.extend(("needed", one["text"]) for one in report["demands"])
    width = max(len(name) for name, _text in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _thresholds(said: dict[str, Any]) -> list[tuple[str, str]]:
    own = (
        f"ignorelb, runtime below {said['runtime_low']} s, charge below {said['charge_low']} %; "
        if said["ignorelb"]
        else ""
    )
    timer = "no timer" if said["timer"] is None else f"timer {said['timer']} s"
    return [("stock NUT", f"{own}{timer} ({said['why']})")]


def code_of(report: dict[str, Any]) -> ExitCode:
    """Return 4 for a device that can guard nothing as it is, else 0."""
    return ExitCode.CHECK_FAILED if report["rung"] == "refuse" else ExitCode.DONE


def main(arguments: Sequence[str]) -> int:
    """Run as a verb of the program on the UPS's host; return its exit code."""
    parser = argparse.ArgumentParser(prog="power.pyz believe", description=__doc__)
    parser.add_argument("target", metavar="FILE|UPS@HOST")
    parser.add_argument("--need", type=float, metavar="SECONDS")
    parser.add_argument("--derate", type=float, default=DERATE)
    parser.add_argument("--capacity", type=float, metavar="SECONDS")
    parser.add_argument("--measured", type=Path, metavar="FILE")
    parser.add_argument("--accept-lb-only", action="store_true")
    parser.add_argument("--runtime-unit", choices=("seconds", "minutes"), default="seconds")
    parser.add_argument("--json", action="store_true", dest="as_json")
    said = parser.parse_args(arguments)
    try:
        asked = Asked(
            said.need, said.derate, said.capacity, said.measured, said.accept_lb_only,
            said.runtime_unit,
        )  # fmt: skip
        report = judge(source_of(said.target), asked)
    except ReleveError as error:
        sys.stderr.write(f"power.pyz believe: {error}\n")
        return error.exit_code
    text = json.dumps(report, indent=1) if said.as_json else "\n".join(lines_of(report))
    sys.stdout.write(text + "\n")
    return code_of(report)
