"""Guests wait for a UPS that is on line, and start with an alarm when nothing says anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
SCRIPT = CHECKOUT / "roles/nut_primary/files/boot-gate"
PROGRAM = "/usr/bin/python3 -I /usr/local/lib/releve/power.pyz"


def gate(folder: Path, status: str, *words: str, program: str) -> subprocess.CompletedProcess[str]:
    """Run the script where upsc says this of each UPS and a second takes none."""
    for name, text in {"upsc": f"echo '{status}'", "logger": "cat", "sleep": ":"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    text = SCRIPT.read_text()
    assert PROGRAM in text
    (folder / "boot-gate").write_text(text.replace(PROGRAM, program))
    path = f"{folder}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", folder / "boot-gate", *words], env={"PATH": path, "PYTHONPATH": "scripts"},
        cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_nobody_is_told_when_a_ups_is_on_line(tmp_path: Path) -> None:
    done = gate(tmp_path, "OL CHRG", "1", "1", "1", "ups1@localhost", program="echo told")

    assert (done.returncode, done.stdout) == (0, "")


def test_a_silent_ups_is_told_to_people(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    wrapper = tmp_path / "power"
    wrapper.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m releve.power "$@" --spool {spool} '
        f"--tests {tmp_path}\n"
    )
    wrapper.chmod(0o755)

    done = gate(tmp_path, "", "1", "1", "1", "ups1@localhost", program=str(wrapper))

    assert done.returncode == 0, done.stderr
    (file,) = spool.glob("*.json")
    alarm = json.loads(file.read_text())
    assert (alarm["topic"], alarm["ups"], alarm["severity"]) == ("nut-bootgate", "ups1", "failure")
    assert "the guests start without it" in alarm["text"]


@pytest.mark.parametrize("program", ["false", "/nowhere/power.pyz"])
def test_an_alarm_that_fails_keeps_no_guest_from_its_start(tmp_path: Path, program: str) -> None:
    assert gate(tmp_path, "", "1", "1", "1", "ups1@localhost", program=program).returncode == 0
