"""The counts of a sweep: each bad end in its own column, an explained one in none."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tests.worlds import measured
from tests.worlds.measured import Count, count, outcome_of
from tests.worlds.runner import Result
from tests.worlds.verdict import Cut, Outcome

from releve.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

CALM = Outcome(("pve1", "nas"), (), (), (), {"nas": []}, {}, {}, [], [], (), [])
STOPPED = dataclasses.replace(CALM, shutdowns={"nas": [20.0]})
HALF = dataclasses.replace(STOPPED, up=("pve1",), dark=("nas",))
CUT = dataclasses.replace(STOPPED, unclean=("nas",), logs=[(3.0, "nas", "lost")])
EARLY = dataclasses.replace(STOPPED, commands=[Cut(30.0, "shutdown.return", ("nas",))])


def test_each_end_has_its_column() -> None:
    late = dataclasses.replace(STOPPED, lag=1.5)
    ends = {"a": CALM, "b": late, "c": HALF, "d": CUT, "e": EARLY}
    found = count(Result(name, outcome) for name, outcome in ends.items())

    assert found == Count(worlds=5, rides=1, clean=2, mixed=1, dark=1, cut=1, early=1, lag=1.5)
    assert not found.good


def test_an_explained_end_counts_as_that_alone() -> None:
    found = count([Result("a", STOPPED), Result("d", CUT)], excused=["d"])

    assert found == Count(worlds=2, clean=1, excused=1)
    assert found.good


def test_an_outcome_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "FOLDER", tmp_path)
    for name, outcome in {"early": EARLY, "cut": CUT}.items():
        (tmp_path / name).mkdir()
        text = json.dumps(dataclasses.asdict(outcome))
        (tmp_path / name / "outcome.json").write_text(text, encoding="utf-8")

        assert outcome_of(name) == outcome

    with pytest.raises(InputError, match="run all parts first"):
        outcome_of("missing")
