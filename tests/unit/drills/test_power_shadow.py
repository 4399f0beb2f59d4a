"""Level 1: what the hosts' documents come to."""

from __future__ import annotations

import copy
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from releve.drills.evidence import Evidence
from releve.drills.power_shadow import drill
from releve.errors import LaterError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-11-29T23:52:53.000Z"
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "runs": [
        {
            "trigger": "low",
            "failed": None,
            "events": [
                {"at": AT, "seconds": 0.0, "kind": "played", "subject": "ups1", "what": "says OB"},
                {"at": AT, "seconds": 1.9, "kind": "notified", "subject": "x", "what": "ONBATT"},
                {"at": AT, "seconds": 11.8, "kind": "shutdown", "subject": "x", "what": "uid 0"},
            ],
        }
    ],
    "configured": {"argv": ["/sbin/shutdown", "-h", "+0"], "runs": True},
    "after": {"processes": {"nut-monitor.service": "1@2"}, "files": {"/etc/nut/a": "b 0640 0:0"}},
    "left": [],
    "faults": [],
}


@dataclass
class FakeHost:
    document: dict[str, Any]
    code: int = 0
    error: str = ""
    ups: str = "ups1"

    def carry(self, *words: str, timeout: float = 1) -> subprocess.CompletedProcess[str]:
        assert words == ("shadow", "--ups", self.ups)
        said = "" if self.error else json.dumps(self.document)
        return subprocess.CompletedProcess(words, self.code, said, self.error)


def played(folder: Path, **hosts: FakeHost) -> Evidence:
    evidence = Evidence("power-1", folder)
    told: list[str] = []
    drill({name: host.ups for name, host in hosts.items()}, hosts, evidence, told.append)
    return evidence


def test_a_host_that_fires_passes(tmp_path: Path) -> None:
    evidence = played(tmp_path, pve1=FakeHost(DOCUMENT), nas=FakeHost(DOCUMENT))

    assert evidence.passed
    checks = {check.id: check for check in evidence.checks}
    assert checks["pve1.fires-on-low"].value == 11.8
    assert checks["nas.command"].value == "/sbin/shutdown -h +0"
    assert checks["nas.nothing-left"].note == "1 services and 1 files are as before"
    told = [(event.subject, event.what) for event in evidence.events]
    assert told.count(("pve1", "SHUTDOWNCMD is called, as a recorder")) == 1
    assert len(told) == 4  # what was played is no event of the host


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"left": ["process 12 of the drill"]}, "nas.nothing-left"),
        ({"configured": {"argv": [], "runs": False}}, "nas.command"),
        ({"configured": {"argv": ["/sbin/none"], "runs": False}}, "nas.command"),
        ({"faults": ["low: POWERDOWNFLAG was not written"]}, "nas.configuration"),
    ],
)
def test_what_is_wrong_at_one_host_is_named(
    tmp_path: Path, change: dict[str, Any], failed: str
) -> None:
    evidence = played(tmp_path, pve1=FakeHost(DOCUMENT), nas=FakeHost(DOCUMENT | change))

    assert [check.id for check in evidence.checks if not check.passed] == [failed]


def test_each_host_is_asked_for_what_it_follows(tmp_path: Path) -> None:
    hosts = {"pve1": FakeHost(DOCUMENT, ups="ups1-site"), "nas": FakeHost(DOCUMENT, ups="ups1-nas")}

    assert played(tmp_path, **hosts).passed


def test_a_turn_that_fails_is_told_once(tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["runs"][0] |= {"failed": "SHUTDOWNCMD was not called", "events": []}
    document["faults"] = ["low: SHUTDOWNCMD was not called"]

    evidence = played(tmp_path, nas=FakeHost(document, code=4))

    failed = [check for check in evidence.checks if not check.passed]
    assert [check.id for check in failed] == ["nas.fires-on-low"]
    assert failed[0].note == "SHUTDOWNCMD was not called"


def test_a_host_that_says_nothing_is_no_proof(tmp_path: Path) -> None:
    evidence = played(tmp_path, nas=FakeHost({}, code=1, error="ImportError\nno python"))

    (check,) = evidence.checks
    assert (check.id, check.passed) == ("nas.shadow", False)
    assert "no python" in check.note


def test_a_host_in_the_middle_of_something_ends_the_drill(tmp_path: Path) -> None:
    with pytest.raises(LaterError, match="says OB"):
        played(tmp_path, nas=FakeHost({}, code=75, error="nas: ups1 says OB, not OL"))
    with pytest.raises(RefusedError, match="killpower"):
        played(tmp_path, nas=FakeHost({}, code=5, error="nas: /etc/killpower is there"))


def test_a_host_that_ssh_does_not_reach_is_told_as_such(tmp_path: Path) -> None:
    evidence = played(tmp_path, nas=FakeHost(DOCUMENT, 255, "No route to host"))

    assert [one.note for one in evidence.checks if not one.passed] == [
        "nas: ssh does not reach it: No route to host"
    ]
