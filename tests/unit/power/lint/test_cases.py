"""Real configurations of other people are judged right; they lie beside the project."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from releve.power.lint.read import read_directory
from releve.power.lint.verdict import judge

CHECKOUT = Path(__file__).parents[4]
PLACES = (os.environ.get("RELEVE_SHARED"), CHECKOUT.parent / "shared", CHECKOUT / "../../shared")
CASES = next(
    (found for place in PLACES if place and (found := Path(place, "cases/ups/conf")).is_dir()),
    CHECKOUT.parent / "shared/cases/ups/conf",
)
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no real files in {CASES}")


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "index.jsonl").read_text().splitlines()]


def test_every_set_gets_its_verdict_and_its_findings() -> None:
    figures: Counter[str] = Counter()
    wrong = []
    for case in cases():
        report = judge(read_directory(CASES / case["dir"]))
        found = {one.id for one in report.findings}
        missed = {one["id"] for one in case["findings"]} - found
        right = report.verdict in case.get("accept", [case["expected"]])
        how = "right" if right and not missed else "WRONG"
        print(how, case["dir"], report.verdict)  # noqa: T201  # the figures
        figures[report.verdict] += 1
        if not right or missed:
            wrong.append(f"{case['dir']}: {report.verdict}, missed {sorted(missed)}")
    print(dict(figures))  # noqa: T201  # the figures
    assert wrong == []


def test_no_finding_shows_a_password_of_a_real_set() -> None:
    for case in cases():
        conf = read_directory(CASES / case["dir"])
        users = conf.users.users if conf.users else ()
        secrets = {one.password for one in users} | {one.password for one in conf.monitors}
        names = {one.name for one in users} | {one.user for one in conf.monitors}
        shown = json.dumps(judge(conf).document())
        # Short ones are words that a sentence may have ("password", "secret").
        long = {one for one in secrets - {None} - names if len(one or "") > len("password")}
        assert not [one for one in long if one and one in shown]
