"""Files of real old hosts are read right; they lie beside the project and are no part of it."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from releve.migrate.sources.files import kind_of, read_or_fault

CHECKOUT = Path(__file__).parents[3]
PLACES = (os.environ.get("RELEVE_SHARED"), CHECKOUT.parent / "shared", CHECKOUT / "../../shared")
CASES = next(
    (found for place in PLACES if place and (found := Path(place, "cases", "guests")).is_dir()),
    CHECKOUT.parent / "shared" / "cases" / "guests",
)
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no real files in {CASES}")
# Where the index is believed to be wrong: file -> why. Said in docs/decisions/0602.
MADE_UP = {"baz", "deleteme", "t1", "barenode"}  # elements that no libvirt has
DISPUTED: dict[str, str] = {}


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "index.jsonl").read_text().splitlines()]


def plain(value: Any) -> Any:
    """Return a fact so that neither the order of a list nor "" for nothing counts."""
    if isinstance(value, list):
        return sorted(json.dumps(one, sort_keys=True) for one in value)
    return None if value == "" else value


def verdict(case: dict[str, Any]) -> tuple[str, str]:
    """Right: equal. Finer: all blockers that were named, and more. Wrong: anything else."""
    file, facts = CASES / case["file"], case["facts"]
    reading = read_or_fault(file, case["kind"], facts.get("vmid"))
    wanted, found = {*case["blockers"]}, {blocker.id for blocker in reading.blockers}
    other = [
        f"{key} {reading.facts.get(key)!r:.80} for {value!r:.80}"
        for key, value in facts.items()
        if plain(reading.facts.get(key, "missing")) != plain(value)
    ]
    if other or (case["must"] == "blocked") != bool(found) or not wanted <= found:
        return "wrong", f"{case['file']}: {sorted(wanted ^ found)} {'; '.join(other)}"
    return ("right" if wanted == found else "finer"), ""


def test_real_files_are_judged_right() -> None:
    figures: defaultdict[str, Counter[str]] = defaultdict(Counter)
    wrong = []
    for case in cases():
        if case["file"] in DISPUTED:
            figures[case["kind"]]["disputed"] += 1
            continue
        how, why = verdict(case)
        figures[case["kind"]][how] += 1
        if how == "wrong":
            wrong.append(why)
    for kind, counts in figures.items():
        said = ", ".join(f"{counts[how]} {how}" for how in ("right", "finer", "wrong"))
        print(f"{kind}: {said}")  # noqa: T201  # the figures are the point of this test

    assert wrong == []


def test_every_part_of_every_real_guest_has_a_fate() -> None:
    for case in cases():
        reading = read_or_fault(CASES / case["file"], case["kind"], case["facts"].get("vmid"))
        for guest in reading.guests:
            fates = {part.fate for part in guest.parts}
            assert fates <= {"mapped", "replaced", "dropped", "blocked", "unknown"}
            silent = [
                one for one in guest.parts if one.fate in {"dropped", "replaced"} and not one.text
            ]
            assert silent == [], case["file"]
            assert {part.what for part in guest.unknown} <= MADE_UP, case["file"]


def test_the_kind_of_a_real_file_is_seen_without_being_told() -> None:
    other = [
        f"{case['file']}: {found} for {case['kind']}"
        for case in cases()
        if (found := kind_of(Path(case["file"]).name, (CASES / case["file"]).read_bytes()))
        != case["kind"]
    ]

    assert other == []
