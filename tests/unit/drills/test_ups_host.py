"""Asking a host about its UPS: once, again and again, and with our own program brought along."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.drills.evidence import Evidence
from releve.drills.ups_host import Sample, UpsHost, Watch, note_battery, reading_of
from releve.errors import CheckError
from releve.power.look import UpsSeen
from releve.power.upsd import NoAnswerError
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Here(Ssh):
    """A host that is this one."""

    __slots__ = ()

    def argv(self, *command: str) -> list[str]:
        return ["sh", "-c", *command]


class Broken(Ssh):
    """A host that ssh does not reach, or that has something else where our program should be."""

    __slots__ = ()

    def argv(self, *command: str) -> list[str]:
        return ["sh", "-c", f"echo no route >&2; exit {self.address}"]


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd({"ups.status": "OL", "battery.charge": "100"})) as one:
        yield one


def test_a_verb_is_brought_along_and_leaves_no_file(upsd: SmallUpsd) -> None:
    done = UpsHost(Here("here", "", "", ())).carry("look", "ups1", "--port", str(upsd.link.port))

    assert done.returncode == 0, done.stderr
    assert '"ups.status": "OL"' in done.stdout


def test_a_verb_that_fails_says_why() -> None:
    done = UpsHost(Here("here", "", "", ())).carry("look", "ups1", "--port", "1")

    assert done.returncode == 75
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_that_is_away_is_no_answer() -> None:
    with pytest.raises(NoAnswerError, match="no route"):
        UpsHost(Broken("pve1", "255", "", ())).look("ups1")


def test_a_host_without_our_program_is_told_how_to_get_it() -> None:
    with pytest.raises(CheckError, match=r"run playbooks/power\.yml"):
        UpsHost(Broken("pve1", "2", "", ())).look("ups1")


def test_what_monitors_follow_is_asked_too() -> None:
    host = UpsHost(Here("here", "", "", ()), ("ups1-site", "ups1-early"))

    assert host.looking("ups1").endswith("look ups1 --followed=ups1-site --followed=ups1-early")
    assert "--followed" not in UpsHost(Here("here", "", "", ())).looking("ups1", 1.0)


LINES = """\
import json, time
for status in ("OL", "OL", "OB DISCHRG"):
    said = {"at": "x", "variables": {"ups.status": status}, "clients": ["a"]}
    print(json.dumps(said), flush=True)
print(json.dumps({"at": "x", "error": "DATA-STALE"}), flush=True)
print('{"at": "x", "varia', flush=True)
"""


def test_a_watch_goes_on_when_the_host_goes_away() -> None:
    with Watch([sys.executable, "-c", LINES], 0.05) as watch:
        deadline = time.monotonic() + 10
        while len(watch.samples) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
    found = [" ".join(sorted(one.seen.status)) if one.seen else one.error
             for one in watch.samples[:6]]  # fmt: skip
    assert found[:4] == ["OL", "OL", "DISCHRG OB", "DATA-STALE"]
    assert "does not answer" in found[4]  # the half line is none
    assert found[5] == "OL"  # it was called again
    first = watch.first("OB")
    assert first is watch.samples[2]
    assert watch.first("OB", first.steady + 1e-9) is not first


def test_what_is_unknown_is_no_value(tmp_path: Path) -> None:
    evidence = Evidence("x", tmp_path)
    values = {"ups.status": "OB", "battery.charge": "97", "battery.runtime": "N/A"}
    samples = [Sample("2026-01-01T00:00:00Z", 12.0, UpsSeen(values, ())),
               Sample("2026-01-01T00:00:01Z", 13.0, None, "gone")]  # fmt: skip

    note_battery(evidence, "ups1", samples)

    assert [(one.quantity, one.points) for one in evidence.series] == [
        ("charge", [("2026-01-01T00:00:00Z", 97.0)])
    ]
    assert reading_of(samples[0], 10.0).seconds == 2.0
    assert reading_of(samples[0], 10.0).runtime is None
    assert reading_of(samples[1], 10.0).status is None
