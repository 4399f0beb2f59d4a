"""Level 1 of the power drill on hosts that are at work: all of it fires, and nobody notices.

In modes stock and policy, on the host with the cable and on a client, at the same time.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.worlds.run import Event
from tests.worlds.runner import Job, run_all
from tests.worlds.scenarios import TIERED, TOWN

if TYPE_CHECKING:
    from tests.worlds.runner import Result
    from tests.worlds.site import Mode

pytestmark = [pytest.mark.lab, pytest.mark.root]
SECONDS = 80
HOSTS = ("pve1", "gw")  # who has the cable; who follows it, alone in a tier in mode policy
NUT = "pgrep -l 'upsmon|upsd|labups|releve-policy|python3' | sort"
# In the background: the world goes on meanwhile.
BEGIN = f"""\
{NUT} >/run/before
(python3 -I /usr/local/lib/releve/power.pyz shadow >/run/said 2>/run/wrong; echo $? >/run/code) \
</dev/null >/dev/null 2>&1 &"""
SUMMARY = f"""\
import json, subprocess
now = subprocess.run(["sh", "-c", {NUT!r}], capture_output=True, text=True).stdout
said = json.load(open("/run/said"))
events = [one for turn in said["runs"] for one in turn["events"]]
print(json.dumps({{
    "code": int(open("/run/code").read()),
    "left": said["left"],
    "faults": said["faults"],
    "turns": [turn["trigger"] for turn in said["runs"]],
    "stops": sum(one["kind"] == "shutdown" for one in events),
    "policy": sum(one["kind"] == "policy" for one in events),
    "gone": sorted(set(open("/run/before").read().splitlines()) - set(now.splitlines())),
}}))
"""


def job(mode: Mode) -> Job:
    site = dataclasses.replace(TIERED if mode == "policy" else TOWN, mode=mode)
    begin = [Event(2, "do", (host, "sh", "-c", BEGIN)) for host in HOSTS]
    end = [Event(SECONDS - 5, "do", (host, "python3", "-c", SUMMARY)) for host in HOSTS]
    return Job(f"shadow-{mode}", site, (*begin, *end), SECONDS)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Run both modes at once."""
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")
    return run_all([job("stock"), job("policy")])


def said(result: Result, host: str) -> dict[str, Any]:
    """Return a host's summary of its drill."""
    assert result.outcome is not None, result.refused
    lines = [
        what for _at, subject, what in result.outcome.logs if subject == host and what[:1] == "{"
    ]
    assert lines, [one for one in result.outcome.logs if one[1] == host]
    summary: dict[str, Any] = json.loads(lines[-1])
    return summary


@pytest.mark.parametrize("mode", ["stock", "policy"])
def test_both_triggers_of_the_host_with_the_cable_fire(
    mode: str, results: dict[str, Result]
) -> None:
    assert said(results[f"shadow-{mode}"], "pve1") == {
        "code": 0, "left": [], "faults": [], "turns": ["low", "timer"], "stops": 2,
        "policy": 4 if mode == "policy" else 0,  # the site's and the tier's, in each turn
        "gone": [],
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["stock", "policy"])
def test_a_client_fires(mode: str, results: dict[str, Result]) -> None:
    assert said(results[f"shadow-{mode}"], "gw") == {
        "code": 0, "left": [], "faults": [], "turns": ["low"], "stops": 1, "policy": 0,
        "gone": []}  # fmt: skip


@pytest.mark.parametrize("mode", ["stock", "policy"])
def test_nobody_notices(mode: str, results: dict[str, Result]) -> None:
    outcome = results[f"shadow-{mode}"].outcome

    assert outcome is not None
    assert outcome.rode
    assert outcome.back
    assert (outcome.commands, outcome.off) == ([], [])
