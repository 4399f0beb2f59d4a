"""The town with a Windows PC and a Synology that the page shows is one that holds."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from releve.cli import cli

PAGE = Path(__file__).parents[3] / "docs/how-to/clients-that-are-not-linux.md"
HEAD = "plugin: releve_town\ntown: {name: Petiteville, domain: petiteville.example.org}\n"
DELAYS = ", offdelay_seconds: 125, ondelay_seconds: 185"


def budget(tmp_path: Path, without: str = "") -> tuple[int, str]:
    """Return the exit code and the output for the page's town, a part left out."""
    (shown,) = re.findall(r"^```yaml\n(networks:\n.*?)^```", PAGE.read_text(), re.M | re.S)
    assert without in shown
    (tmp_path / "town.yml").write_text(HEAD + shown.replace(without, ""))
    words = ["-i", str(tmp_path), "power", "budget"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    return done.return_value, done.output


def test_the_town_of_the_page_holds(tmp_path: Path) -> None:
    code, said = budget(tmp_path)

    assert code == 0
    assert "not proved: its battery was never measured" in said


def test_it_would_not_with_the_delays_that_nobody_chose(tmp_path: Path) -> None:
    code, said = budget(tmp_path, without=DELAYS)

    assert code == 4
    assert "nas needs 120 s to stop and 5 s to notice (it does not log in)" in said
