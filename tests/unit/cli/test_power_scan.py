"""What a scan says when the host, or the program on it, is not there: never that it has no UPS."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli.power import command
from releve.errors import CheckError, LaterError

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "town.yml"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((255, "No route to host"), LaterError, "ssh does not reach pve1: No route to host"),
        ((127, "not found"), LaterError, "pve1 has no nut-scanner: install nut-server"),
        ((0, ""), CheckError, "pve1 finds no UPS on a USB cable"),
    ],
)
def test_each_cause_has_its_own_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    kind: type[Exception],
    said: str,
) -> None:
    code, words = answer
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    done = CliRunner().invoke(command, ["scan", "pve1", "-i", str(EXAMPLE)], standalone_mode=False)

    assert isinstance(done.exception, kind)
    assert said in str(done.exception)
