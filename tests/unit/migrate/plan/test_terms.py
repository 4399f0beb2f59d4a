"""A run keeps to the hours and the bandwidth of its plan, or is refused with a sentence."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.migrate.plan.test_frozen_plan import given
from tests.unit.migrate.preflight.good import LAB, good

from releve.cli import cli
from releve.errors import RefusedError
from releve.migrate import patience
from releve.migrate.patience import Patience
from releve.migrate.plan import Terms, make_plan, permit
from releve.migrate.plan import frozen as files
from releve.migrate.plan.terms import Window, hold

ZONE = datetime.timezone(datetime.timedelta(hours=1))
SATURDAY = datetime.datetime(2026, 12, 5, 8, 0, tzinfo=ZONE)
HOUR = datetime.timedelta(hours=1)
DAY = 86_400.0


def plan(**terms: Any) -> dict[str, Any]:
    return make_plan(good().town, ["compta"], Terms(**terms), gather=given(good()))[0]


def test_a_run_has_the_bandwidth_and_the_window_of_its_plan() -> None:
    frozen = plan(bandwidth="20", window=DAY, at=SATURDAY)

    assert hold(frozen, SATURDAY - HOUR, "", None) == (
        "20",
        Window(SATURDAY, SATURDAY + datetime.timedelta(days=1)),
    )
    assert hold(frozen, SATURDAY, "20", SATURDAY)[0] == "20", "saying the same again is no fault"
    assert hold(plan(), SATURDAY, "", None) == ("", None)


@pytest.mark.parametrize(
    ("terms", "bandwidth", "at", "why"),
    [
        ({"bandwidth": "20"}, "50", None, r"--bandwidth 50: the plan of .* with --bandwidth 20"),
        ({}, "50", None, r"--bandwidth 50: .* made without --bandwidth; leave it out"),
        ({"at": SATURDAY}, "", SATURDAY + HOUR, r"--at 2026-12-05T09:00: .* 2026-12-05 08:00"),
        ({}, "", SATURDAY, r"--at 2026-12-05T08:00: .* made without an hour"),
        ({"at": SATURDAY, "window": 60.0}, "", None, r"its window is over \(2026-12-05 08:00 \+01"),
    ],
)
def test_a_word_that_contradicts_the_plan_is_refused(
    terms: dict[str, Any], bandwidth: str, at: datetime.datetime | None, why: str
) -> None:
    with pytest.raises(RefusedError, match=why):
        hold(plan(**terms), SATURDAY + HOUR, bandwidth, at)


def test_nobody_is_stopped_outside_of_the_window_whatever_was_told(tmp_path: Path) -> None:
    window = Window(SATURDAY, SATURDAY + HOUR)
    held, waits = Patience(window=window), Patience(wait=True, window=window)

    assert not held.over(tmp_path, SATURDAY - HOUR)
    assert held.over(tmp_path, SATURDAY)
    assert not waits.over(tmp_path, SATURDAY)
    patience.tell(tmp_path)
    assert not held.over(tmp_path, SATURDAY - HOUR)
    assert not waits.over(tmp_path, SATURDAY - HOUR)
    assert waits.over(tmp_path, SATURDAY)
    assert not held.missed(SATURDAY)
    assert held.missed(SATURDAY + HOUR)


def test_a_plan_without_an_end_stays_open() -> None:
    assert not Patience(window=Window(SATURDAY)).missed(SATURDAY + 1000 * HOUR)


def test_the_window_of_the_plan_is_what_the_run_is_judged_by() -> None:
    short = make_plan(good().town, ["compta"], Terms(window=DAY), gather=given(good()))[0]
    short = files.seal(short | {"terms": {**short["terms"], "window_seconds": 1.0}})

    with pytest.raises(RefusedError, match="window-long-enough"):
        permit(good().town, "compta", frozen=short, gather=given(good()))


def test_the_journal_keeps_the_terms_and_a_changed_hour_is_a_difference() -> None:
    frozen = plan(bandwidth="20", at=SATURDAY)

    assert permit(good().town, "compta", frozen=frozen, gather=given(good()))["terms"] == {
        "window_seconds": None,
        "bandwidth": "20",
        "at": "2026-12-05T08:00:00+01:00",
    }
    assert files.differences(plan(bandwidth="20"), frozen) == [
        "terms: at: None -> 2026-12-05T08:00:00+01:00"
    ]


def test_the_command_line_is_held_to_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = files.write(plan(bandwidth="20"))

    words = ["-i", str(LAB), "migrate", "run", "compta", "--plan", str(file), "--bandwidth", "50"]
    done = CliRunner().invoke(cli, words)

    assert isinstance(done.exception, RefusedError)
    assert "leave it out, or plan again" in str(done.exception)
    assert not Path("build/migrate/compta").exists(), "something was begun"
