"""The shell scripts around NUT: nothing that hangs holds a shutdown or a start up."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.test_stock import PRIMARY
from tests.worlds.role import ROLES, RoleRun

from releve.power.status import supplies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GATE = ROLES / "nut_primary/files/boot-gate"
OTHER = {"ups": "ups2", "server": "192.0.2.12", "supplies": 1, "tls": False}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[float, str]]:
    """Run a script with UPSes of paper; returns how long it took, and what else it called."""

    def paper(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run_it(*words: str | Path, logger: str = "", **ups: str) -> tuple[float, str]:
        cases = "\n".join(f"{name}@*) {does} ;;" for name, does in ups.items())
        paper("upsc", f'case "$1" in\n{cases}\n*) exit 1 ;;\nesac')
        paper("logger", f'echo "$*" >>{tmp_path}/log\n{logger}')
        paper("upsmon", f'echo "upsmon $*" >>{tmp_path}/log')
        begun = time.monotonic()
        path = f"{tmp_path}:{os.environ['PATH']}"
        subprocess.run(words, env={"PATH": path}, check=True, timeout=30)
        took, log = time.monotonic() - begun, tmp_path / "log"
        return took, log.read_text() if log.exists() else ""

    return run_it


@functools.cache
def written() -> str:
    """Return power-timer as the role writes it for a host of two UPSes."""
    variables = {**PRIMARY, "nut_primary_remote": [OTHER], "nut_primary_stop_seconds": 60}
    files = RoleRun("nut_primary", variables, {"__nut_primary_guests_unit": {"stdout": ""}}).run()
    (script,) = (one for one in files if one.path == "/usr/local/lib/releve/power-timer")
    return script.data.decode()


@pytest.fixture
def timer(tmp_path: Path) -> Path:
    """Return it with an upsmon of paper, and the folder of measurements here."""
    script = tmp_path / "power-timer"
    text = written().replace("/usr/sbin/upsmon", "upsmon")
    script.write_text(text.replace("/run/releve-measure", str(tmp_path)))
    script.chmod(0o755)
    return script


def test_a_gate_whose_server_hangs_opens_when_its_limit_is_over(
    run: Callable[..., tuple[float, str]],
) -> None:
    took, log = run(GATE, "2", "1", "1", "ups1@localhost", ups1="exec sleep 20")

    assert took < 10
    assert "guests start without them" in log


def test_a_gate_counts_seconds_and_not_how_often_it_asks(
    run: Callable[..., tuple[float, str]],
) -> None:
    took, _ = run(GATE, "4", "1", "1", "ups1@localhost", ups1="sleep 1")

    assert 3 <= took < 7


@pytest.mark.parametrize("status", ["OL", "OL CHRG", "TRIM", "BOOST"])
def test_guests_start_at_once_on_line(run: Callable[..., tuple[float, str]], status: str) -> None:
    took, log = run(GATE, "9", "1", "1", "ups1@localhost", ups1=f"echo {status}")

    assert took < 3
    assert log == ""


def test_a_gate_that_nobody_hears_is_open_all_the_same(
    run: Callable[..., tuple[float, str]],
) -> None:
    took, _ = run(GATE, "1", "1", "1", "ups1@localhost", logger="exec sleep 20", ups1="exit 1")

    assert took < 9


def test_the_site_is_shut_down_though_the_other_server_and_the_journal_hang(
    run: Callable[..., tuple[float, str]], timer: Path
) -> None:
    took, log = run(
        timer, "on-battery-ups1", logger="exec sleep 20", ups1="echo OB", ups2="exec sleep 20"
    )

    assert took < 9
    assert "upsmon -c fsd" in log


@pytest.mark.parametrize(
    ("status", "stops"), [("OL", False), ("BOOST", False), ("OB", True), ("OL OFF", True)]
)
def test_a_host_that_the_other_ups_carries_goes_on(
    run: Callable[..., tuple[float, str]], timer: Path, status: str, stops: bool
) -> None:
    _, log = run(timer, "on-battery-ups1", ups1="echo OB", ups2=f"echo {status}")

    assert ("upsmon -c fsd" in log) == stops


WORDS = ("OL", "OB", "TRIM", "BOOST", "FSD", "OFF", "LB")
SAID = [" ".join(some) for many in range(4) for some in itertools.combinations(WORDS, many)]


def test_the_scripts_and_the_programs_mean_the_same_by_a_ups_that_feeds(
    run: Callable[..., tuple[float, str]], timer: Path
) -> None:
    said = timer.with_name("said")
    feeds: dict[str, list[str]] = {"gate": [], "timer": [], "programs": []}
    for status in SAID:
        said.write_text(status)
        if supplies(frozenset(status.split())):
            feeds["programs"].append(status)
        for name, words in (
            ("gate", (GATE, "0", "1", "1", "ups2@localhost")), ("timer", (timer, "on-battery-ups1"))
        ):  # fmt: skip
            timer.with_name("log").unlink(missing_ok=True)
            _, log = run(*words, ups1="echo OB", ups2=f"cat {said}")
            if "guests start without" not in log and "upsmon -c fsd" not in log:
                feeds[name].append(status)

    assert feeds["gate"] == feeds["programs"]
    assert feeds["timer"] == feeds["programs"]


@pytest.mark.parametrize(("ago", "held"), [(0, True), (60, False), (-3600, False)])
def test_a_measurement_holds_the_timer_and_none_of_tomorrow_does(
    run: Callable[..., tuple[float, str]], timer: Path, ago: float, held: bool
) -> None:
    hold = timer.with_name("hold-ups1")
    hold.touch()
    os.utime(hold, (time.time() - ago,) * 2)
    _, log = run(timer, "on-battery-ups1", ups1="echo OB", ups2="echo OB")

    assert ("upsmon -c fsd" not in log) == held
