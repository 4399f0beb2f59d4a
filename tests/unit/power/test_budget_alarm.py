"""People hear of a budget that does not hold: each night, when it changes, and in a cut."""

from __future__ import annotations

import dataclasses
import json
import os
from socket import gethostname
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.test_budget_watch import ONE

from releve.power import budget_watch
from releve.power.budget import as_json, budget_of
from releve.power.budget_alarm import Told, alarms_of, live_fault
from releve.power.budget_watch import main
from releve.power.readings import read
from releve.power.spool import waiting

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.budget_alarm import On


@pytest.mark.parametrize(
    ("before", "now", "on", "told"),
    [
        ([], ["a"], "night", "the shutdown is not covered: a"),
        (["a"], ["a"], "night", "the shutdown is not covered: a"),
        (["a"], ["a"], "guests", None),
        (["a"], ["a", "b"], "guests", "the shutdown is not covered: b"),
        (["a"], ["a", "b"], "on-battery", "the shutdown is not covered: a; b"),
        (["a", "b"], ["b"], "guests", None),
        (["a"], [], "guests", "the shutdown is covered again"),
        (["a"], [], "night", "the shutdown is covered again"),
        ([], [], "night", None),
    ],
)
def test_when_people_are_told(before: list[str], now: list[str], on: On, told: str | None) -> None:
    alarms = alarms_of(Told({"ups1": before}), {"ups1": now}, on)

    assert [one.text for one in alarms] == ([told] if told else [])


def test_what_was_told_is_remembered_and_a_broken_file_tells_nothing(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    assert Told.read(file) == Told()

    Told({"ups1": ["a"]}).write(file)
    assert Told.read(file) == Told({"ups1": ["a"]})

    for text in ("{", "[]", '{"ups1": 1}'):
        file.write_text(text)
        assert Told.read(file) == Told()


def says(**values: str) -> dict[str, str]:
    said = {"ups.status": "OB", "battery.charge": "100", "battery.runtime": "1200"}
    return said | {key.replace("_", "."): value for key, value in values.items()}


@pytest.mark.parametrize(
    ("values", "carries"),
    [
        (says(), None),
        (says(battery_charge="20"), 192),  # 1200 s measured x 0.2 x 0.8
        (says(battery_runtime="300"), 240),
        ({"ups.status": "OB"}, None),
    ],
)
def test_a_battery_that_is_not_full_is_seen(values: dict[str, str], carries: int | None) -> None:
    budget = budget_of(ONE)
    fault = live_fault(ONE, budget, read(values))

    if carries is None:
        assert fault is None
    else:
        assert fault is not None
        assert f"carries {carries} s now" in fault
        assert f"needs {budget.need} s: begin it by hand at once" in fault


@pytest.mark.parametrize(
    ("moved", "told"),
    [({"runtime": False}, False), ({"charge": False}, True), ({}, True)],
)
def test_a_value_that_stood_still_in_the_discharge_raises_no_alarm(
    moved: dict[str, bool], *, told: bool
) -> None:
    record = {
        "format": 1, "ups": "ups1", "on": "2026-11-01", "how": "deep", "capacity_seconds": 1200,
        "curve": [[0, 100, 27, 1200], [1200, 2, 21, 2]],
        "moved": {"charge": True, "runtime": True, "voltage": True} | moved,
    }  # fmt: skip
    one = dataclasses.replace(ONE, record=record, ups="ups1")
    fault = live_fault(one, budget_of(one), read(says(battery_charge="100", battery_runtime="60")))

    assert (fault is not None) is told, fault


def test_a_ups_that_says_nothing_in_a_cut_is_a_fault() -> None:
    assert "nobody knows what is left" in (live_fault(ONE, budget_of(ONE), None) or "")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with the guests of its budget; its UPS is nearly empty, and on line again."""
    for name in ("pve/qemu-server", "spool", "nut"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "budgets").write_text(json.dumps({"ups1": as_json(ONE)}))
    for vmid, name, order, down in ((101, "compta", 1, 60), (102, "dossiers", 2, 90)):
        file = tmp_path / "pve" / "qemu-server" / f"{vmid}.conf"
        file.write_text(f"name: {name}\nstartup: order={order},down={down}\n")
    values = says(ups_status="OL CHRG", battery_charge="20")
    monkeypatch.setattr(budget_watch, "readings_of", lambda _upsd, _ups: read(values))
    return tmp_path


def look(host: Path, on: str) -> tuple[int, list[str]]:
    """Look once; return the code, and the new alarms, which are taken away."""
    names = ("budgets", "measured", "pve", "run", "nut", "spool", "state", "asked")
    code = main([*(f"--{name}={host / name}" for name in names), "--on", on, "--tell"])
    told = [f"{one.ups}: {one.text}" for one in waiting(host / "spool")]
    for file in (host / "spool").iterdir():
        file.unlink()
    return code, told


def test_a_new_guest_is_told_once_then_each_night_and_its_end_too(host: Path) -> None:
    assert look(host, "guests") == (0, [])

    new = host / "pve" / "qemu-server" / "103.conf"
    new.write_text("name: new\n")
    code, (told,) = look(host, "guests")
    assert code == 4
    assert told.startswith("ups1: the shutdown is not covered: ")
    assert "new has no time of its own to stop (down), so 180 s count" in told
    assert look(host, "guests") == (4, [])
    assert look(host, "night") == (4, [told])

    new.unlink()
    assert look(host, "guests") == (0, ["ups1: the shutdown is covered again"])
    assert look(host, "night") == (0, [])


def test_a_guest_that_nothing_would_stop_is_the_hosts_alarm(host: Path) -> None:
    (host / "pve" / "qemu-server" / "103.conf").write_text(
        "name: web\nstartup: order=1,down=1\nlock: snapshot\n"
    )
    process = host / "run" / "qemu-server" / "103.pid"
    process.parent.mkdir(parents=True)
    process.write_text(f"{os.getpid()}\n")
    told = look(host, "guests")[1]

    assert any(one.startswith(f"{gethostname()}: ") and "qm unlock 103" in one for one in told)


def test_in_a_cut_the_request_is_taken_away_and_the_battery_looked_at(host: Path) -> None:
    (host / "asked").touch()
    code, (told,) = look(host, "on-battery")

    assert code == 4
    assert "the battery carries 192 s now" in told
    assert not (host / "asked").exists()
    assert look(host, "night")[0] == 0, "nobody looks at the battery of a quiet night"


@pytest.mark.parametrize("status", ["OB DISCHRG", None])
def test_what_was_told_in_a_cut_is_over_with_the_mains_alone(
    host: Path, monkeypatch: pytest.MonkeyPatch, status: str | None
) -> None:
    line = budget_watch.readings_of
    cut = None if status is None else read(says(ups_status=status, battery_charge="20"))
    monkeypatch.setattr(budget_watch, "readings_of", lambda _upsd, _ups: cut)
    assert len(look(host, "on-battery")[1]) == 1
    assert look(host, "guests") == (0, [])

    monkeypatch.setattr(budget_watch, "readings_of", line)
    assert look(host, "guests") == (0, ["ups1: the shutdown is covered again"])


@pytest.mark.parametrize("on", ["night", "on-battery"])
def test_a_record_that_cannot_be_read_hides_no_other_ups(host: Path, on: str) -> None:
    (host / "budgets").write_text(json.dumps({"ups0": as_json(ONE), "ups1": as_json(ONE)}))
    (host / "measured").mkdir()
    (host / "measured" / "ups0.json").write_text("{")
    code, told = look(host, on)

    assert code == 4
    assert any("192 s now" in one for one in told) is (on == "on-battery")
    assert any(one.startswith(f"{gethostname()}: ") and "ups0: its budget" in one for one in told)
    assert not any("ups0" in one for one in look(host, "guests")[1]), "said once"


def test_a_record_that_is_not_sound_is_told_in_a_cut(host: Path) -> None:
    odd = dataclasses.replace(ONE, record={"on": "2026-11-01"})
    (host / "budgets").write_text(json.dumps({"ups1": as_json(odd)}))
    code, (told,) = look(host, "on-battery")

    assert code == 4
    assert "nobody knows whether the shutdown is covered" in told


def test_budgets_that_cannot_be_read_are_told_once_and_each_night(host: Path) -> None:
    (host / "budgets").write_text("{")
    code, (told,) = look(host, "guests")

    assert code == 2
    assert "no budget can be read there" in told
    assert look(host, "guests") == (2, [])
    assert look(host, "night") == (2, [told])


def test_what_stands_in_nuts_files_counts_and_not_what_was_deployed(host: Path) -> None:
    deployed: dict[str, Any] = as_json(ONE)
    (host / "budgets").write_text(json.dumps({"ups1": deployed | {"timer": 1, "trigger": 1}}))
    sched = host / "nut" / "upssched.conf"
    line = "AT ONBATT ups1@localhost START-TIMER on-battery-ups1 {}\n"

    sched.write_text(line.format(deployed["timer"]))
    assert look(host, "night") == (0, [])

    sched.write_text(line.format(deployed["timer"] + 1))
    (told,) = look(host, "night")[1]
    assert f"after {deployed['timer']} s on battery at the latest" in told
    assert f"the timer is at {deployed['timer'] + 1} s" in told


def test_a_threshold_that_is_too_low_is_told(host: Path) -> None:
    budget = as_json(dataclasses.replace(ONE))
    line = f"AT ONBATT ups1@localhost START-TIMER on-battery-ups1 {budget['timer']}\n"
    (host / "nut" / "upssched.conf").write_text(line)
    (host / "nut" / "ups.conf").write_text(
        "[ups1]\n  ignorelb\n  override.battery.runtime.low = 9\n"
        "  override.battery.charge.low = 9\n"
    )
    (told,) = look(host, "night")[1]

    assert f"with {budget['runtime_low']} s of runtime left, the threshold is at 9 s" in told
