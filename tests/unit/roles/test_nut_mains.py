"""No deploy in a power cut, and none while a UPS is silent that was on battery when last heard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.worlds.role import ROLES

from releve.power.rewake import AWAY, BACK

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
OWN = {"ups": "ups1", "server": "localhost", "host": ""}
CLIENTS = {"ups": "ups1", "server": "192.0.2.11", "host": "pve1"}
SYNOLOGY = {"ups": "ups1", "server": "192.0.2.9", "host": ""}
OFF = {"ups": "ups1", "server": "192.0.2.13", "host": "off"}
STALE = "echo 'Error: Data stale' >&2; exit 1"
OPENED = "2026-05-01T06:00:00Z\n"


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., str]:
    """Ask as the roles do, with an upsc of paper; returns why it was refused, nothing: it was not.

    `pve1` is this machine, too, and `off` one that nobody can reach.
    """
    events = tmp_path / "events"
    events.mkdir()
    text = (ROLES / "nut_secondary/tasks/mains.yml").read_text()
    assert "/var/lib/releve-rewake/event-" in text
    (tmp_path / "mains.yml").write_text(text.replace("/var/lib/releve-rewake", str(events)))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"here": here, "pve1": here, "off": {"ansible_host": "127.0.0.1", "ansible_port": 1}}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    def ask_it(upsc: str, event: str | None, *monitors: dict[str, str]) -> str:
        (tmp_path / "upsc").write_text(f"#!/bin/sh\n{upsc}\n")
        (tmp_path / "upsc").chmod(0o755)
        (events / "event-ups1").unlink(missing_ok=True)
        if event is not None:
            (events / "event-ups1").write_text(event)
        play = {
            "hosts": "here",
            "gather_facts": False,
            "vars": {"__nut_secondary_monitors": monitors},
            "tasks": [{"ansible.builtin.import_tasks": "mains.yml"}],
        }
        (tmp_path / "play.json").write_text(json.dumps([play]))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "hosts.json",
             tmp_path / "play.json"],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}",
                 "ANSIBLE_STDOUT_CALLBACK": "json", "ANSIBLE_HOME": str(tmp_path / "home")},
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        said = json.loads(done.stdout[done.stdout.index("{"):])  # fmt: skip
        last = said["plays"][0]["tasks"][-1]["hosts"]["here"]
        faults = [one["msg"] for one in last["results"] if one.get("failed")]
        assert bool(faults) == bool(done.returncode), done.stdout
        return "\n".join(faults)

    return ask_it


@pytest.mark.parametrize("monitor", [OWN, CLIENTS])
@pytest.mark.parametrize("event", [f"{OPENED}{AWAY}\n", OPENED])
def test_a_ups_that_fell_silent_in_a_cut_lets_nothing_be_restarted(
    ask: Callable[..., str], monitor: dict[str, str], event: str
) -> None:
    said = ask(STALE, event, monitor)

    assert "ups1 says nothing, and did not say that the mains are back" in said
    assert "journalctl -u nut-driver@ups1" in said
    assert "(echo on line >>" in said


@pytest.mark.parametrize(
    ("upsc", "event"),
    [
        (STALE, None),  # no power event, or NUT is not there yet
        (STALE, f"{OPENED}{BACK}\n"),  # somebody is still missing after the cut
        (STALE, f"{OPENED}{AWAY}\n{BACK}\n"),  # as a person appends it
        ("echo OL CHRG", f"{OPENED}{AWAY}\n"),
        ("echo BOOST", f"{OPENED}{AWAY}\n"),
    ],
)
def test_what_has_said_that_the_mains_are_back_may_be_touched(
    ask: Callable[..., str], upsc: str, event: str | None
) -> None:
    assert ask(upsc, event, OWN, CLIENTS) == ""


def test_a_server_of_another_maker_or_one_that_is_off_is_not_asked(
    ask: Callable[..., str],
) -> None:
    assert ask(STALE, f"{OPENED}{AWAY}\n", SYNOLOGY, OFF) == ""


def test_a_ups_that_says_so_is_told_with_the_way_out(ask: Callable[..., str]) -> None:
    said = ask("echo OB DISCHRG", None, OWN)

    assert "ups1 says OB DISCHRG: nothing was touched" in said
    assert "echo on line >>" in said
