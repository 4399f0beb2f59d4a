"""What stops took is asked of each node and kept beside the town file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli.power import command
from releve.town.stops import Stops

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "town.yml"


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A town whose ssh is a program that says what file `said` holds; without one it fails."""
    shutil.copy(EXAMPLE, tmp_path / "town.yml")
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >>{tmp_path}/asked\n'
        f"cat {tmp_path}/said 2>/dev/null || {{ echo no route >&2; exit 255; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def run(town: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, ["stops", *words, "-i", str(town)], standalone_mode=False)
    return (done.return_value if done.exception is None else 2), done.output + str(done.exception)


def test_a_node_is_asked_and_its_answer_kept(town: Path) -> None:
    Stops({202: 9.0}, 30.0).write(town, "pve1")
    (town / "said").write_text('{"guests": {"201": 31.5}, "host": null}')

    assert run(town)[0] == 0
    assert Stops.read(town, "pve1") == Stops({201: 31.5, 202: 9.0}, 30.0)
    assert "guest-stops --measured" in (town / "asked").read_text()

    code, said = run(town, "pve1", "--json")
    assert (code, json.loads(said.removesuffix("None"))["pve1"]["host"]) == (0, 30.0)


def test_a_node_that_does_not_answer_is_named_and_nothing_is_lost(town: Path) -> None:
    Stops({202: 9.0}, None).write(town, "pve1")
    code, said = run(town)

    assert code == 4
    assert "no route" in said
    assert Stops.read(town, "pve1") == Stops({202: 9.0}, None)


def test_only_a_node_with_a_ups_is_asked(town: Path) -> None:
    code, said = run(town, "nas")

    assert code == 2
    assert "nas: no node with a UPS in town.yml; there are: pve1" in said
    assert not (town / "asked").exists()
