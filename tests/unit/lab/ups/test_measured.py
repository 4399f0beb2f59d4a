"""The lab's UPS has a record of its own, which is never older than the lab."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import yaml

from releve.lab.ups.__main__ import BATTERY_SECONDS
from releve.lab.ups.measured import put
from releve.town import load_town

LAB = Path(__file__).parents[4] / "inventory/lab/town.yml"
LOW_SECONDS = 15  # before its end it says that its battery is low
DAY = datetime.date(2040, 2, 1)


def folder_with(folder: Path, **ups: object) -> Path:
    words = yaml.safe_load(LAB.read_text())
    words["ups"]["ups1"] |= ups
    (folder / "town.yml").write_text(yaml.safe_dump(words, sort_keys=False))
    return folder


def test_the_lab_is_measured_and_its_record_is_sound(tmp_path: Path) -> None:
    town = load_town(folder_with(tmp_path))
    assert town.capacity_of("ups1") is None
    put(town, DAY)

    record = town.measured("ups1")
    assert record is not None
    assert record.on == DAY
    assert {one.on for one in record.past} == {DAY}
    assert record.until == "low-battery"
    assert record.moved.charge
    assert record.moved.runtime
    # What a full battery carries until its UPS calls it low: the record fits this very battery.
    assert record.capacity_seconds == pytest.approx(BATTERY_SECONDS - LOW_SECONDS, abs=3)


def test_what_the_town_file_says_itself_is_not_said_twice(tmp_path: Path) -> None:
    town = load_town(folder_with(tmp_path, capacity_seconds=240))
    put(town, DAY)

    assert not (tmp_path / "measured").exists()
