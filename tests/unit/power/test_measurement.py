"""A record of measurement is read back whole, or refused with the key that is wrong."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import TYPE_CHECKING, Any

import pytest

from releve.errors import InputError
from releve.power.measurement import Measurement, Moved, Past, Point

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.measurement import Cut

MAY = datetime.date(2026, 5, 31)
DEEP = Measurement(
    ups="ups1",
    on=MAY,
    how="deep",
    capacity_seconds=1480,
    load_percent=31.5,
    curve=(Point(0, 100, 27.2, 1500), Point(600, 61, 24.9, None), Point(1480, 12, None, 60)),
    ob_seen_seconds=1.2,
    moved=Moved(charge=True, runtime=True, voltage=False),
    lb_seen=True,
    until="low-battery",
)
# The shape that other parts and a person may write: without what came later.
PLAIN: dict[str, Any] = {
    "format": 1,
    "ups": "ups1",
    "on": "2026-05-31",
    "how": "plug-pull",
    "capacity_seconds": 900,
    "load_percent": None,
    "curve": [[0, 100, None, None], [890, 9, None, None]],
    "ob_seen_seconds": 2.5,
    "moved": {"charge": True, "runtime": False, "voltage": False},
    "lb_seen": False,
    "ol_discharge": None,
    "cut": "none",
    "cuts_on_line": None,
    "off_seconds": None,
    "returned": None,
}


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "measured" / "ups1.json"
    record = DEEP.after(None)
    record.write(file)

    assert Measurement.read(file) == record
    assert [one.name for one in file.parent.iterdir()] == ["ups1.json"]


def test_a_record_without_history_is_whole() -> None:
    record = Measurement.parse(PLAIN, "here")

    assert record.capacity_seconds == 900
    assert record.past == (Past(MAY, "plug-pull", 900, None, 2.5),)
    assert record.mains_proven is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capacity_seconds": 0}, "capacity_seconds: 0 is wrong"),
        ({"capacity_seconds": -1}, "capacity_seconds: -1"),
        ({"capacity_seconds": "24:40"}, 'capacity_seconds: "24:40"'),
        ({"capacity_seconds": True}, "capacity_seconds: true"),
        ({"load_percent": 0}, "load_percent: 0"),
        ({"load_percent": float("nan")}, "load_percent: NaN"),
        ({"how": "guess"}, "quick or deep or plug-pull or drill"),
        ({"on": "yesterday"}, "a date such as"),
        ({"format": 2}, "format: 2"),
        ({"ups": ""}, "ups"),
        ({"capacity": 900}, 'key: "capacity"'),
        ({"moved": {"charge": 1}}, "moved"),
        ({"moved": {"load": True}}, "moved"),
        ({"curve": [[0, 100, None, None], [0, 99, None, None]]}, "curve[1]"),
        ({"curve": [[0, 101, None, None]]}, "curve[0]"),
        ({"curve": [[0, 100, None]]}, "curve[0]"),
        ({"curve": [[None, 100, None, None]]}, "curve[0]"),
        ({"curve": [[0, -3, None, None]]}, "curve[0]"),
        ({"lb_seen": "yes"}, 'lb_seen: "yes"'),
        ({"history": [{"on": "2026-05-31", "how": "deep", "load_percent": -4}]}, "history[0]"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        Measurement.parse(PLAIN | change, "measured/ups1.json")

    assert str(error.value).startswith("measured/ups1.json: ")
    assert said in str(error.value)


def test_files_that_are_no_records_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "ups2.json"
    other.write_text(json.dumps(PLAIN))
    broken = tmp_path / "ups1.json"
    broken.write_text('{"format": 1')
    array = tmp_path / "ups3.json"
    array.write_text("[]")

    for file, said in (
        (other, "not of ups2"),
        (broken, "no JSON"),
        (array, "one JSON object"),
        (tmp_path / "ups4.json", "cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            Measurement.read(file)


def test_a_quick_test_takes_no_capacity_away() -> None:
    quick = Measurement(
        ups="ups1",
        on=MAY + datetime.timedelta(days=7),
        how="quick",
        ob_seen_seconds=0.8,
        moved=Moved(voltage=True),
        ol_discharge="battery",
    )

    record = quick.after(DEEP.after(None))

    assert (record.capacity_seconds, record.on, record.how) == (1480, MAY, "deep")
    assert record.curve == DEEP.curve
    assert record.moved == Moved(charge=True, runtime=True, voltage=True)
    assert record.ol_discharge == "battery"
    assert [one.how for one in record.past] == ["deep", "quick"]


def test_a_new_capacity_replaces_the_old_and_both_are_remembered() -> None:
    proven = Measurement(ups="ups1", on=MAY, how="drill", cut="proven", off_seconds=61.0)
    worse = Measurement(ups="ups1", on=MAY, how="deep", capacity_seconds=1200, cut="offered")

    record = worse.after(DEEP.after(proven.after(None)))

    assert record.capacity_seconds == 1200
    assert [one.capacity_seconds for one in record.past] == [None, 1480, 1200]
    assert (record.cut, record.off_seconds) == ("proven", 61.0)
    assert record.moved == Moved()


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        (None, "offered", "offered"), ("offered", None, "offered"), ("offered", "none", "none"),
        ("proven", "none", "proven"), ("proven", None, "proven"), ("none", "offered", "none"),
        ("none", "proven", "proven"), (None, None, None),
    ],
)  # fmt: skip
def test_eyes_say_more_of_the_cut_than_a_list_of_commands(
    before: Cut | None, now: Cut | None, after: Cut | None
) -> None:
    old = Measurement(ups="ups1", on=MAY, how="drill", cut=before, returned=True)
    record = Measurement(ups="ups1", on=MAY, how="quick", cut=now).after(old.after(None))

    assert (record.cut, record.returned) == (after, True)


def test_what_was_not_seen_changes_nothing() -> None:
    old = Measurement(ups="ups1", on=MAY, how="drill", cut="proven", cuts_on_line=True)

    assert old.saw() == old
    assert old.saw(cut="none", returned=False) == dataclasses.replace(
        old, cut="none", returned=False
    )
    assert old.saw(cuts_on_line=False).cuts_on_line is False


def test_a_test_that_was_ended_early_lowers_no_capacity() -> None:
    early = Measurement(ups="ups1", on=MAY, how="deep", capacity_seconds=500, until="stopped")
    longer = dataclasses.replace(early, capacity_seconds=1600)
    low = dataclasses.replace(early, until="low-battery")

    assert early.after(DEEP.after(None)).capacity_seconds == 1480
    assert early.after(DEEP.after(None)).past[-1].capacity_seconds is None
    assert longer.after(DEEP.after(None)).capacity_seconds == 1600
    assert low.after(DEEP.after(None)).capacity_seconds == 500


def test_nothing_measured_is_commissioning() -> None:
    assert Measurement(ups="ups1", on=MAY, how="quick").commissioning
    assert not DEEP.commissioning


def test_only_the_last_real_cut_proves_the_mains_state() -> None:
    seen = Measurement(ups="ups1", on=MAY, how="plug-pull", ob_seen_seconds=2.0)
    late = Measurement(ups="ups1", on=MAY, how="drill", ob_seen_seconds=10.5)
    never = Measurement(ups="ups1", on=MAY, how="plug-pull", ob_seen_seconds=None)

    assert DEEP.mains_proven is None
    assert seen.mains_proven is True
    assert DEEP.after(seen.after(None)).mains_proven is True
    assert late.after(seen.after(None)).mains_proven is False
    assert never.after(seen.after(None)).mains_proven is False
