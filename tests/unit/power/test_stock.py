"""What a dump of a UPS makes role nut_primary write: own thresholds, or the timer alone."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.test_dumps import CASES, cases
from tests.worlds.role import RoleRun

from releve.errors import InputError
from releve.power.budget import Settings, as_json, budget_of
from releve.power.dump import parse
from releve.power.guests import Node
from releve.power.readings import Readings, read
from releve.power.set_stock import Found, Here, find
from releve.power.stock import (
    MARK,
    Numbers,
    Standing,
    numbers_of,
    standing_of,
    with_lines,
    with_timer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

NEED = 600
CURVE = [[0, 100, 27.0, 1800], [900, 50, 25.0, 900], [1800, 0, 22.0, 0]]
RECORD: dict[str, Any] = {
    "format": 1, "ups": "ups1", "on": "2026-05-01", "how": "deep", "capacity_seconds": 1800,
    "load_percent": 100.0, "curve": CURVE, "ob_seen_seconds": 2.0, "lb_seen": True,
    "moved": {"charge": True, "runtime": True, "voltage": True}, "ol_discharge": None,
    "cut": "offered", "cuts_on_line": None, "off_seconds": None, "returned": None,
    "until": "low-battery", "history": [],
}  # fmt: skip
ONE = Settings(
    capacity_seconds=1800, derate=0.8, margin=1.0, ride_through_seconds=0, driver_poll=2,
    pollfreq=5, pollfreqalert=2, hostsync=15, finaldelay=5, offdelay=60, ondelay=120,
    stop_seconds=NEED - 12, workers=1, clients=[], guests=[], ups="ups1", record=RECORD,
    today="2026-05-02",
)  # fmt: skip
PRIMARY: dict[str, Any] = {
    "nut_primary_password": "k3vQ8wZr-T1xN_b7Yh2mLd9s",
    "nut_primary_secondary_password": "u6Jf0pRz_W4cGq8Xa-E1tBn5",
    "nut_primary_addresses": ["192.0.2.11"],
    "nut_primary_stop_seconds": ONE.stop_seconds,
    "nut_primary_margin": 1.0,
    "nut_primary_ride_through_seconds": 0,
    "nut_primary_devices": [
        {"name": "ups1", "driver": "usbhid-ups", "capacity_seconds": 1800, "record": RECORD}
    ],
}
GOOD = {"ups.status": "OL", "battery.charge": "100", "battery.runtime": "1700", "ups.load": "30",
        "input.voltage": "230"}  # fmt: skip


def on_host(variables: Mapping[str, str] | None, budget: dict[str, Any]) -> Found:
    """Return what `power.pyz thresholds` finds where upsd says this of the UPS."""
    here = Here(Node((), 1), {}, lambda _ups: {}, lambda _ups: variables, ("", ""))
    (found,) = find({"ups1": budget}, here)
    return found


@functools.cache
def unasked() -> dict[str, str]:
    """Return what the role writes where the host cannot be asked (yet)."""
    run = RoleRun("nut_primary", {**PRIMARY}, {"__nut_primary_guests_unit": {"stdout": ""}})
    return {one.path: one.data.decode("utf-8", "replace") for one in run.run()}


def role_files(variables: Mapping[str, str] | None) -> dict[str, str]:
    """Return what the role writes; `variables` None: the host cannot be asked (yet)."""
    if variables is None:
        return unasked()
    budget = json.loads(unasked()["/etc/releve/power-budget.json"])["ups1"]
    said = {"ups": {"ups1": on_host(variables, budget).numbers.as_json()}}
    seen = {
        "__nut_primary_guests_unit": {"stdout": ""},
        "__nut_primary_thresholds_asked": {"rc": 0, "stdout": json.dumps(said)},
    }
    files = RoleRun("nut_primary", {**PRIMARY}, seen).run()
    return {one.path: one.data.decode() for one in files if "/etc/nut/" in one.path}


def but(**changed: Any) -> Settings:
    return dataclasses.replace(ONE, **changed)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no real dumps in {CASES}")
def test_plain_dumps_give_what_the_ladder_says() -> None:
    """Own thresholds on rung runtime with a charge, the timer everywhere, for all of them."""
    budget, wrong, own = as_json(ONE), [], 0
    for case in cases():
        variables = parse((CASES / case["file"]).read_bytes()).variables
        numbers = on_host(variables, budget).numbers
        readings = read(variables)
        may = case["rung"] == "runtime" and readings.charge is not None
        right = may and numbers.runtime_low in (
            math.ceil(NEED / 0.8),
            math.ceil((NEED + 60) / 0.8),
        )
        if numbers.timer != 1800 * 0.8 - NEED or (right if may else not numbers.lines) is not True:
            wrong.append((case["file"], case["rung"], numbers))
        own += bool(numbers.lines)

    assert wrong == []
    assert 0 < own < len(cases()), f"{own} of {len(cases())} have own thresholds"


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no real dumps in {CASES}")
@pytest.mark.parametrize("rung", ["runtime", "estimate", "charge", "voltage", "time", "refuse"])
def test_a_dump_of_each_rung_becomes_the_roles_files(rung: str) -> None:
    dumps = [
        parse((CASES / case["file"]).read_bytes()).variables
        for case in cases()
        if case["rung"] == rung
    ]
    # Where a rung has devices with and without a charge, one that has it.
    variables = next((one for one in dumps if read(one).charge is not None), dumps[0])
    files = role_files(variables)
    written = standing_of(files["/etc/nut/ups.conf"], files["/etc/nut/upssched.conf"], "ups1")

    assert written.timer == 1800 * 0.8 - NEED
    assert (written.runtime_low is not None) == (rung == "runtime")
    assert ("ignorelb" in files["/etc/nut/ups.conf"]) == (rung == "runtime")


def test_before_the_ups_was_heard_the_timer_stands_alone() -> None:
    files = role_files(None)

    assert "ignorelb" not in files["/etc/nut/ups.conf"]
    ups, upssched = files["/etc/nut/ups.conf"], files["/etc/nut/upssched.conf"]
    assert standing_of(ups, upssched, "ups1") == Standing(timer=840)


def test_what_the_night_changes_is_what_the_role_writes() -> None:
    before, after = role_files(None), role_files(GOOD)
    found = on_host(GOOD, as_json(ONE)).numbers

    assert found.lines
    assert (
        with_lines(before["/etc/nut/ups.conf"], "ups1", found.lines) == (after["/etc/nut/ups.conf"])
    )
    assert with_lines(after["/etc/nut/ups.conf"], "ups1", ()) == before["/etc/nut/ups.conf"]
    assert with_timer(before["/etc/nut/upssched.conf"], "ups1", 17).count("ups1 17\n") == 1


def test_a_charge_of_the_measured_curve_is_finer_than_a_proportion() -> None:
    curve = [[0, 100, 27.0, 1800], [1200, 50, 25.0, 900], [1800, 0, 22.0, 0]]
    straight, bent = (
        numbers_of(one, budget_of(one), read(GOOD))
        for one in (ONE, but(record=RECORD | {"curve": curve}))
    )

    assert (straight.charge_low, bent.charge_low) == (42, 57)


def test_a_load_that_goes_up_and_down_moves_no_threshold() -> None:
    wanted = {
        numbers_of(ONE, budget_of(ONE), read(GOOD | {"ups.load": str(load)})).charge_low
        for load in (101, 103, 105)
    }

    assert len(wanted) == 1
    assert (
        numbers_of(ONE, budget_of(ONE), read(GOOD | {"ups.load": "109"})).charge_low not in wanted
    )


@pytest.mark.parametrize(
    ("standing", "kept"),
    [
        (Standing(750, 42, 840), (750, 42)),
        (Standing(825, 50, 840), (825, 50)),  # earlier than it has to be, and clean
        (Standing(749, 41, 840), (750, 42)),  # too late by one
        (Standing(5000, 99, 840), (750, 42)),
        (Standing(None, None, 840), (750, 42)),
    ],
)
def test_a_threshold_that_stands_near_above_stays(
    standing: Standing, kept: tuple[int, int]
) -> None:
    numbers = numbers_of(ONE, budget_of(ONE), read(GOOD | {"battery.runtime": "1701"}), standing)

    assert (numbers.runtime_low, numbers.charge_low) == kept


def test_a_silent_ups_keeps_what_was_set_and_gets_the_timer_of_now() -> None:
    standing = Standing(700, 40, 9999)

    assert numbers_of(ONE, budget_of(ONE), None, standing) == Numbers(
        840, "the UPS says nothing: what was set stays", 700, 40
    )
    assert numbers_of(ONE, budget_of(ONE), None).lines == ()


@pytest.mark.parametrize(("said", "own"), [("own", True), ("device", False)])
def test_a_persons_word_goes_before_the_ladders(said: str, own: bool) -> None:
    one = but(thresholds=said, record={})

    assert bool(numbers_of(one, budget_of(one), read(GOOD)).lines) is own


def test_mode_policy_has_no_thresholds_of_stock() -> None:
    here = Here(Node((), 1), {}, lambda _ups: {}, lambda _ups: None, ("", ""))

    assert find({"ups1": as_json(but(mode="policy"))}, here) == []


def test_a_ups_being_commissioned_stops_after_its_minute() -> None:
    one = but(capacity_seconds=None, record={}, commissioning_seconds=60)

    assert numbers_of(one, budget_of(one), read(GOOD)).timer == 60
    assert numbers_of(one, budget_of(one), read(GOOD)).lines == ()


@pytest.mark.parametrize("text", ["", "[ups1]\n  driver = x\n", f"[other]\n  {MARK}\n"])
def test_a_file_that_the_role_did_not_write_is_left_alone(text: str) -> None:
    with pytest.raises(InputError, match=r"\[ups1\] is not as the role wrote it"):
        with_lines(text, "ups1", ("ignorelb",))


def test_only_the_section_of_the_ups_is_read_and_changed() -> None:
    other = f"[ups2]\n  {MARK}\n  ignorelb\n  override.battery.runtime.low = 7\n"
    text = f"[ups1]\n  {MARK}\n  port = auto\n{other}"

    assert standing_of(text, "", "ups1") == Standing()
    assert with_lines(text, "ups1", ("ignorelb",)) == text.replace(
        f"[ups1]\n  {MARK}\n", f"[ups1]\n  {MARK}\n  ignorelb\n"
    )


def test_readings_that_are_refused_set_nothing() -> None:
    assert isinstance(read({"ups.status": "OFF"}), Readings)
    assert numbers_of(ONE, budget_of(ONE), read({"ups.status": "OFF"})).lines == ()
