"""`releve drift` says what differs, and ends with 4 only then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from releve.cli import cli, drift
from releve.playbook import Difference, Outcome

if TYPE_CHECKING:
    from click.testing import Result

    from releve.town import Town

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"
BY_HAND = Difference("nas", "nut_secondary : configure | Write the monitor", ("-# by hand",))
HIDDEN = Difference("pve1", "nut_primary : server | Write who may log in", ())


def drifted(
    monkeypatch: pytest.MonkeyPatch, differences: dict[str, tuple[Difference, ...]], *options: str
) -> Result:
    """Ask what differs where each playbook finds this; none is to change anything."""

    def play(_town: Town, name: str, *, check: bool = False) -> Outcome:
        assert check
        return Outcome(name, 10, differences.get(name, ()))

    monkeypatch.setattr(drift, "play", play)
    return CliRunner().invoke(cli, ["-i", str(LAB), "drift", *options], standalone_mode=False)


def test_hosts_as_the_town_file_says_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    done = drifted(monkeypatch, {})

    assert done.return_value == 0
    assert done.stdout.splitlines() == ["0 differences in 20 tasks of provision, power"]


@pytest.mark.parametrize("playbook", ["provision", "power"])
def test_a_difference_of_any_playbook_ends_with_4(
    monkeypatch: pytest.MonkeyPatch, playbook: str
) -> None:
    done = drifted(monkeypatch, {playbook: (BY_HAND, HIDDEN)})

    assert done.return_value == 4
    assert done.stdout.splitlines() == [
        "nas: nut_secondary : configure | Write the monitor",
        "    -# by hand",
        "pve1: nut_primary : server | Write who may log in",
        "    (not shown: it may hold a secret)",
        "2 differences in 20 tasks of provision, power",
    ]


def test_programs_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    done = drifted(monkeypatch, {"power": (BY_HAND,)}, "--json")
    told = json.loads(done.stdout)

    assert (done.return_value, told["differences"]) == (4, 1)
    assert [one["playbook"] for one in told["runs"]] == ["provision", "power"]
    assert told["runs"][1]["differences"][0]["lines"] == ["-# by hand"]
