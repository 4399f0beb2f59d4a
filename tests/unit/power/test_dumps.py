"""Dumps of real UPSes are judged right; they lie beside the project and are no part of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from releve.power.commands import cut_of
from releve.power.doubts import DOUBTS
from releve.power.dump import parse
from releve.power.ladder import Known, Moment, Site, as_on_battery, decide, rung_of, warnings_of
from releve.power.readings import read

CHECKOUT = Path(__file__).parents[3]
PLACES = (os.environ.get("RELEVE_SHARED"), CHECKOUT.parent / "shared", CHECKOUT / "../../shared")
CASES = next(
    (found for place in PLACES if place and (found := Path(place, "cases/ups/dumps")).is_dir()),
    CHECKOUT.parent / "shared/cases/ups/dumps",
)
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no real dumps in {CASES}")
# Where we differ on purpose: (file, field) -> why.
DIFFERENT: dict[tuple[str, str], str] = {
    ("ddl_Plexus__500VA__megatec_usb__2.2.1__01.dev", "cut"): (
        "the reporter found every command dead; the copy of the dump does not say so"
    ),
    ("ddl_Tripp_Lite__SMART500RT1U__tripplite_usb__2.7.2__05.dev", "cut"): (
        "the reporter found every command dead; the copy of the dump does not say so"
    ),
}


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "index.jsonl").read_text().splitlines()]


def facts_of(variables: dict[str, str]) -> dict[str, Any]:
    """Return what the index calls facts: the parser's work alone."""
    words = variables.get("ups.status", "").split()
    outlets = {name.split(".")[1] for name in variables if name.startswith("outlet.")}
    return {
        "has_runtime": "battery.runtime" in variables,
        "has_charge": "battery.charge" in variables,
        "has_voltage": "battery.voltage" in variables,
        "has_load": "ups.load" in variables,
        "status": variables.get("ups.status"),
        "runtime": variables.get("battery.runtime"),
        "charge": variables.get("battery.charge"),
        "load": variables.get("ups.load"),
        "on_battery": "OB" in words and "OL" not in words,
        "low_battery": "LB" in words,
        "delay_shutdown": variables.get("ups.delay.shutdown"),
        "delay_start": variables.get("ups.delay.start"),
        "outlets": len({one for one in outlets if one.isdigit()}),
    }


def judge(case: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return for each field what we say and what is right."""
    dump = parse((CASES / case["file"]).read_bytes())
    readings, expect = read(dump.variables), case["expect"]
    site = Site(need=expect["need_s"], derate=expect["derate"])
    known = Known(capacity_seconds=expect["capacity_s"])
    seconds = expect["on_battery_s"]
    moment = Moment(on_battery=seconds, spent=seconds, lb_held=site.lb_debounce)
    fields: dict[str, tuple[Any, Any]] = {
        "facts": (facts_of(dict(dump.variables)), case["facts"]),
        "rung": (rung_of(readings), case["rung"]),
        "warnings": (sorted(warnings_of(readings)), sorted(case["warnings"])),
        "now": (decide(readings, site, known, moment).decision, expect["now"]),
        "if_on_battery": (
            decide(as_on_battery(readings), site, known, moment).decision,
            expect["if_on_battery"],
        ),
    }
    if case.get("commands"):
        fields["commands"] = (sorted(dump.commands), sorted(case["commands"]))
        fields["cut"] = (cut_of(dump.commands, dump.dead_commands), case["cut"])
    return fields


def test_real_dumps_are_judged_right() -> None:
    figures: Counter[tuple[str, str]] = Counter()
    wrong = []
    listed = set(DIFFERENT)
    for case in cases():
        for field, (ours, right) in judge(case).items():
            key = (case["file"], field)
            how = "right" if ours == right else "differs on purpose" if key in listed else "wrong"
            figures[field, how] += 1
            if how == "wrong":
                wrong.append(f"{case['file']}: {field}: {ours!r}, right is {right!r}")
            elif how == "right":
                listed.discard(key)
                assert key not in DIFFERENT, f"{key} is right by now"
    for (field, how), count in sorted(figures.items()):
        print(f"{field}: {count} {how}")  # noqa: T201  # the figures are the point of this test

    assert wrong == []


def test_every_warning_of_a_real_dump_has_a_sentence() -> None:
    given = {warning for case in cases() for warning in case["warnings"]}

    assert given <= set(DOUBTS)
    assert all(DOUBTS.values())
