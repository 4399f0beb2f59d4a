"""However a command ends, its user reads one sentence and its caller gets a documented code."""

from __future__ import annotations

import importlib
import stat
from typing import TYPE_CHECKING

import click
import pytest

from releve.cli import VERBS
from releve.cli.drill import DRILLS
from releve.cli.lazy import FAULT, run_command
from releve.errors import CheckError, ExitCode, LaterError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["trial"])


def end_of(outcome: Exception | int | None) -> int:
    """Run a command that ends like this, and return its exit code."""

    @click.command()
    def command() -> int | None:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(SystemExit) as ended:
        run_command(command, "trial")
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (None, ExitCode.DONE),
        (3, ExitCode.CHANGES),
        (CheckError("x"), ExitCode.CHECK_FAILED),
        (RefusedError("x"), ExitCode.REFUSED),
        (LaterError("x"), ExitCode.LATER),
        (click.UsageError("x"), ExitCode.USAGE),
        (click.Abort(), 130),
    ],
)
def test_each_end_has_its_code(outcome: Exception | int | None, code: int) -> None:
    assert end_of(outcome) == code
    assert not FAULT.exists()


def test_a_fault_of_ours_is_one_line_and_its_traceback_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert end_of(ZeroDivisionError("by nought")) == ExitCode.FAILED

    said = capsys.readouterr().err
    assert said == "trial: a fault of ours, ZeroDivisionError: by nought; see build/log/fault.log\n"
    assert "Traceback" in FAULT.read_text()
    assert stat.S_IMODE(FAULT.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "module", [module for module, _help in [*VERBS.values(), *DRILLS.values()]]
)
def test_every_verb_and_drill_is_there(module: str) -> None:
    assert isinstance(importlib.import_module(f"releve.cli.{module}").command, click.Command)
