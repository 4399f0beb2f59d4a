"""The page of the times is what is kept makes of it; a drill gives it by its evidence alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from releve.drills import power_page
from releve.drills.evidence import Evidence
from releve.drills.power_page import keep, main, read_kept, render
from releve.drills.power_times import BACK, FIRST, GUESTS, LAST, SEEN, Figure
from releve.errors import CheckError

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = "47 s in the worst case, 14 s expected"
FIGURES = [Figure(SEEN, 1.0), Figure(GUESTS, 12.04, 47.0, BUDGET), Figure(LAST, None)]


def test_the_page_of_the_docs_is_the_one_that_is_kept() -> None:
    page = (power_page.FOLDER / power_page.PAGE).read_text(encoding="utf-8")

    assert page == render(read_kept(power_page.FOLDER))


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    keep(tmp_path, {"drill": FIGURES})
    keep(tmp_path, {"plain": FIGURES[:1]})

    assert read_kept(tmp_path) == {"drill": FIGURES, "plain": FIGURES[:1]}
    assert (tmp_path / power_page.PAGE).read_text() == render(read_kept(tmp_path))


def test_measured_stands_beside_predicted() -> None:
    page = render({"drill": FIGURES})

    assert f"last guest's stop | 12.0 | {BUDGET} |" in page
    assert "last guest's stop | 12.0 | 47.0 |" in render({"drill": [Figure(GUESTS, 12.0, 47.0)]})
    assert "until the UPS's host says so | 1.0 |  |" in page
    assert "output going off | never |  |" in page
    assert page.endswith("Nothing is kept yet.\n")  # of the worlds


def test_modes_stand_side_by_side() -> None:
    page = render({"policy": FIGURES[:1], "plain": [Figure(SEEN, 4.5), Figure(BACK, 20.0)]})

    assert "| | plain NUT | mode `policy` |\n|---|---|---|" in page
    assert "until the UPS's host says so | 4.5 | 1.0 |" in page
    assert "nobody touching anything | 20.0 | never |" in page


def test_an_evidence_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_page, "FOLDER", tmp_path)
    with Evidence("power", tmp_path) as evidence:
        evidence.check(SEEN, passed=True, value=1.5, unit="s", limit=15)
        evidence.check(FIRST, passed=True, value=6, unit="s", note="nas is the first")

    assert main([str(evidence.path)]) == 0
    assert read_kept(tmp_path)["drill"] == [
        Figure(SEEN, 1.5), Figure(FIRST, 6.0, None, "nas is the first")]  # fmt: skip
    assert main([]) == 0


@pytest.mark.parametrize("content", [None, "{", json.dumps({"checks": []})])
def test_what_is_no_evidence_of_a_cut_is_said(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(power_page, "FOLDER", tmp_path)
    file = tmp_path / "power.json"
    if content is not None:
        file.write_text(content)

    assert main([str(file)]) != 0
    said = capsys.readouterr().err
    assert said.startswith(f"{file} ")
    assert said.count("\n") == 1
    assert not (tmp_path / power_page.PAGE).exists()


def test_a_kept_file_that_is_another_is_said(tmp_path: Path) -> None:
    (tmp_path / power_page.KEPT).write_text(json.dumps({"drill": [{**asdict(FIGURES[0]), "x": 1}]}))

    with pytest.raises(CheckError, match="is not what this program has written"):
        read_kept(tmp_path)
