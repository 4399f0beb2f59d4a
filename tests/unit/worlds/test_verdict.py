"""What a world's timeline means."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.worlds.scenarios import Scenario, end_of, faults, mains
from tests.worlds.verdict import Line, Outcome, judge

NAMES = ("pve1", "nas")
SCENARIO = Scenario("x", "a cut", mains(2, 40), 70, {"stock": "clean"})


def line(at: float, subject: str, kind: str, what: str = "", **more: Any) -> Line:
    return Line(at, subject, kind, what or kind, more)


# Everybody goes down, the output goes off, everybody comes back.
CUT = (
    line(-3, "pve1", "boot"),
    line(-3, "nas", "boot"),
    line(22, "nas", "shutdown"),
    line(23, "pve1", "shutdown"),
    line(24, "nas", "down"),
    line(30, "pve1", "guest-stopped", guest="compta", clean=True),
    line(31, "pve1", "down"),
    line(31.1, "ups1", "command", "shutdown.return from pve1"),
    line(34, "ups1", "output-off"),
    line(34, "pve1", "cut", clean=True),
    line(34, "nas", "cut", clean=True),
    line(56, "nas", "boot"),
    line(56, "pve1", "boot"),
)


def outcome(
    *lines: Line, up: tuple[str, ...] = NAMES, logged_in: tuple[str, ...] = NAMES
) -> Outcome:
    return judge(sorted(lines, key=lambda one: one.at), up, logged_in, NAMES, NAMES)


def test_a_cut_in_order_is_clean() -> None:
    seen = outcome(*CUT)

    assert end_of(seen) == "clean"
    assert faults(SCENARIO, "stock", seen) == []
    assert seen.shutdowns == {"pve1": [23], "nas": [22]}
    assert seen.boots["nas"] == [56]


def test_who_loses_power_while_running_is_named() -> None:
    lines = [one for one in CUT if not (one.subject == "nas" and one.kind in {"down", "cut"})]
    seen = outcome(*lines, line(34, "nas", "cut", clean=False))

    assert seen.unclean == ("nas",)
    assert end_of(seen) == "cut"
    assert faults(SCENARIO, "stock", seen) == [
        "cut instead of clean",
        "cut while running: shutdown.return from pve1 at 31.1 s: nas",
    ]


def test_a_power_command_before_the_last_host_is_down_is_a_fault_even_if_nobody_is_cut() -> None:
    early = dataclasses.replace(CUT[7], at=30.5)
    seen = outcome(*CUT[:7], *CUT[8:], early)

    assert end_of(seen) == "clean"
    assert faults(SCENARIO, "stock", seen) == [
        "cut while running: shutdown.return from pve1 at 30.5 s: pve1"
    ]


@pytest.mark.parametrize(
    ("up", "logged_in", "mixed"),
    [(("pve1",), ("pve1",), True), ((), (), False), (NAMES, ("pve1",), False)],
)
def test_who_is_not_back_is_dark(
    up: tuple[str, ...], logged_in: tuple[str, ...], *, mixed: bool
) -> None:
    seen = outcome(*CUT, up=up, logged_in=logged_in)

    assert end_of(seen) == "dark"
    assert seen.mixed is mixed


def test_nobody_stops_when_the_battery_rides_it_out() -> None:
    seen = outcome(*CUT[:2])

    assert end_of(seen) == "rides"
    assert faults(SCENARIO, "stock", seen) == ["rides instead of clean"]


def test_a_command_without_a_shutdown_is_a_fault() -> None:
    scenario = dataclasses.replace(SCENARIO, expected={"stock": "rides"})
    seen = outcome(*CUT[:2], line(9, "ups1", "command", "load.off from pve1"))

    assert "a power command without a shutdown" in faults(scenario, "stock", seen)


def test_what_happened_before_the_world_was_ready_does_not_count() -> None:
    seen = outcome(*CUT[:2], line(-5, "nas", "shutdown"), line(-4, "nas", "cut", clean=False))

    assert seen.rode
    assert seen.unclean == ()
