"""The figures of a power cut come from what was seen, and the page from them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from tests.unit.drills.test_power_verdict import at, event, seen  # noqa: F401  # a fixture

from releve.drills.evidence import Evidence
from releve.drills.power_times import figures_of, predicted, read_figures, told
from releve.drills.power_verdict import PowerSeen, judge
from releve.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [("seeing it", 7), ("waiting for the clients", 12), ("final delay", 5), ("guests", 30),
         ("the host itself", 20)]  # fmt: skip
EXPECTED = [("seeing it", 4), ("waiting for the clients", 3), ("final delay", 5), ("guests", 6)]


def figures(seen: PowerSeen, folder: Path) -> dict[str, float | None]:  # noqa: F811
    evidence = Evidence("power", folder)
    judge(seen, evidence)
    content = {"checks": [asdict(one) for one in evidence.checks]}
    return {one.id: one.seconds for one in figures_of(content)}


def test_five_figures_in_the_order_of_a_cut(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    assert figures(seen, tmp_path) == {
        "on-battery-seen": 1.0,
        "decision-to-first-stop": 6.0,  # FSD at 8, the nas is down at 14
        "guest-phase": 12.0,  # compta stops last, at 20
        "last-guest-to-output-off": 7.0,
        "all-back": 20.0,
    }


def test_a_guest_may_be_the_first_to_stop(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    seen.power[1] = event(21, "nas", "halted")

    assert figures(seen, tmp_path)["decision-to-first-stop"] == 10.0


def test_a_tier_alone_stops_before_the_site_decides(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    seen.told = at(3)
    seen.power[1] = event(7, "nas", "halted")

    assert figures(seen, tmp_path)["decision-to-first-stop"] == 4.0
    assert figures(seen, tmp_path)["guest-phase"] == 12.0


def test_what_is_predicted_begins_after_the_decision_was_seen() -> None:
    assert predicted(STEPS) == 47
    assert predicted(EXPECTED) == 14
    assert predicted([]) is None
    assert predicted([("guests", 3)]) is None


@pytest.mark.parametrize(("worst", "passed"), [(12, True), (11, False)])
def test_guests_that_stop_later_than_predicted_fail(
    seen: PowerSeen, tmp_path: Path, worst: int, *, passed: bool  # noqa: F811
) -> None:  # fmt: skip
    seen.budget |= {"steps": [("seeing it", 9), ("guests", worst)], "expected_steps": EXPECTED}
    evidence = Evidence("power", tmp_path)
    judge(seen, evidence)

    (check,) = [one for one in evidence.checks if one.id == "guest-phase"]
    assert (check.passed, check.value, check.limit) == (passed, 12.0, worst)
    assert check.note == f"{worst} s in the worst case, 14 s expected"


def test_a_cut_without_guests_has_no_guest_phase(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    seen.guests = {}

    assert set(figures(seen, tmp_path)) == {
        "on-battery-seen", "decision-to-first-stop", "all-back"}  # fmt: skip


def test_what_did_not_happen_is_no_number(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    del seen.words["FSD"]
    seen.power = [one for one in seen.power if one.kind != "output-off"]
    evidence = Evidence("power", tmp_path)
    judge(seen, evidence)

    found = {one.id: one for one in evidence.checks}
    for name in ("decision-to-first-stop", "guest-phase", "last-guest-to-output-off"):
        assert (found[name].passed, found[name].value) == (False, None), name
    lines = told(figures_of({"checks": [asdict(one) for one in evidence.checks]}))
    assert sum(line.strip().startswith("never") for line in lines) == 3


def test_a_file_that_is_no_evidence_is_said(tmp_path: Path) -> None:
    assert read_figures(tmp_path / "none.json") == []
    for text in ("{", "[]", '{"checks": [{}]}'):
        file = tmp_path / "power.json"
        file.write_text(text)
        with pytest.raises(InputError, match=r"power\.json is no evidence of a drill"):
            read_figures(file)


def test_evidence_on_disk_is_read_as_it_was_written(seen: PowerSeen, tmp_path: Path) -> None:  # noqa: F811
    with Evidence("power", tmp_path) as evidence:
        judge(seen, evidence)

    assert read_figures(evidence.path)[0].seconds == 1.0
    assert json.loads(evidence.path.read_text())["passed"]
