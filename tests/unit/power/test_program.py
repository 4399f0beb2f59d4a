"""`power.pyz`: each verb explains itself, and what it cannot work with is one sentence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from releve.power.__main__ import VERBS, main

if TYPE_CHECKING:
    from pathlib import Path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the program with these words; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["power.pyz", *words])
    try:
        return main()
    except SystemExit as left:  # argparse
        return int(str(left.code))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert run(monkeypatch, verb, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: power.pyz {verb}")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_overview_has_a_line_for_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run(monkeypatch, word) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told and verb.what in told for name, verb in VERBS.items())


@pytest.mark.parametrize("words", [[], ["gaet"]])
def test_an_unknown_verb_is_a_fault_of_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert ("there is no verb 'gaet'" in told) is bool(words)
    assert "usage: power.pyz" in told


@pytest.mark.parametrize("verb", ["rewake", "hostrule", "watch"])
def test_a_daemon_wants_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert run(monkeypatch, verb) == 2
    assert capsys.readouterr().err == f"usage: power.pyz {verb} CONFIG\n"


@pytest.mark.parametrize("content", [None, "", "{", "3", "[3]", '{"upses": 3}', '[{"ups": "x"}]'])
@pytest.mark.parametrize("verb", ["rewake", "hostrule", "watch"])
def test_a_file_that_is_none_of_a_daemon_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    verb: str,
    content: str | None,
) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_text(content)
    assert run(monkeypatch, verb, str(file)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"power.pyz {verb}: {file}: is no ")
    assert line.endswith("; apply playbooks/power.yml")


@pytest.mark.parametrize("words", [["--nope"], ["-a"], ["-a", "ups1-site", "-z"]])
def test_a_driver_called_wrongly_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(monkeypatch, "policy", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("; upsdrvctl calls it with -a and the name of a virtual UPS")


@pytest.mark.parametrize("verb", ["thresholds", "watch-budget"])
def test_a_host_without_budgets_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str
) -> None:
    file = tmp_path / "power-budget.json"
    assert run(monkeypatch, verb, "--budgets", str(file)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file}: no budget can be read there")
    assert line.endswith("run playbooks/power.yml")
