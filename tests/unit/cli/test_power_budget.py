"""`releve power budget` shows the numbers, and its exit code is the verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli.power_budget import command
from releve.errors import InputError

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "town.yml"


def budget(file: Path, *options: str) -> tuple[int, str]:
    """Return its exit code and all that it said."""
    done = CliRunner().invoke(command, ["-i", str(file), *options], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value or 0), done.output


def test_the_example_town_holds(tmp_path: Path) -> None:
    code, told = budget(EXAMPLE)

    assert code == 0
    assert told.startswith("ups1: holds, ")
    assert "school-server" in told


def test_a_smaller_battery_does_not(tmp_path: Path) -> None:
    file = tmp_path / "town.yml"
    file.write_text(EXAMPLE.read_text().replace("capacity_seconds: 1200", "capacity_seconds: 300"))
    code, told = budget(file, "--ups", "ups1")

    assert code == 4
    assert told.startswith("ups1: does not hold")
    assert "ups1: fault: the shutdown needs" in told


def test_guests_that_no_ups_feeds_are_named(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("    host: pve1\n    driver", "    host: nas\n    driver")
    file = tmp_path / "town.yml"
    file.write_text(text.replace("    clients: [nas]\n\nvault", "\nvault"))
    told = "note: pve1 is at no UPS: a cut ends population, school-server while they run"

    assert told in budget(file)[1]
    assert "is at no UPS" not in budget(file, "--ups", "ups1")[1]
    assert "is at no UPS" not in budget(EXAMPLE)[1]


def test_its_json_has_the_numbers() -> None:
    done = CliRunner().invoke(command, ["-i", str(EXAMPLE), "--json"], standalone_mode=False)
    one = json.loads(done.stdout)["ups1"]

    assert one["faults"] == []
    assert one["need"] == sum(seconds for _name, seconds in one["steps"])


def test_a_town_without_such_a_ups_is_told() -> None:
    with pytest.raises(InputError, match="no UPS none"):
        budget(EXAMPLE, "--ups", "none")
