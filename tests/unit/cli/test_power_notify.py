"""Whose channels are tried: a UPS's host, or a client with guests."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli.power import command

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "town.yml"
ROWS = '[{"target": "a1b2c3d4", "shown": "mailtos a1b2c3d4", "sent": true}]'


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in the place of ssh, which keeps its words and says what a host says."""
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/asked\necho '{ROWS}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        command, ["notify", "--test", "--blind", *words, "-i", str(EXAMPLE)], standalone_mode=False
    )
    return (done.return_value if done.exception is None else 2), done.output + str(done.exception)


@pytest.mark.parametrize(("words", "address"), [((), "192.0.2.11"), (("--host", "nas"), "2.12")])
def test_the_host_that_is_meant_sends(asked: Path, words: tuple[str, ...], address: str) -> None:
    code, said = run(*words)

    assert (code, "mailtos a1b2c3d4: sent, not seen" in said) == (0, True)
    assert address in asked.read_text()


@pytest.mark.parametrize("host", ["vault", "nowhere"])
def test_a_host_without_alarms_is_refused(host: str) -> None:
    code, said = run("--host", host)

    assert code == 2
    assert f"{host} sends no alarms; name one of pve1, nas" in said
