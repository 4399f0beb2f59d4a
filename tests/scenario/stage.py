"""Programs as a person runs them, at the workstation's place in the lab, and what they leave."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.lab.run import environment

if TYPE_CHECKING:
    from releve.lab.topology import Lab

ROOT = Path(__file__).parents[2]
TOWN = "inventory/lab/town.yml"
GUESTS = ("compta", "dossiers")
VOLUME_PATIENCE = 60
WRITE_PATIENCE = 20  # a guest writes every 100 ms, and a busy machine has other guests


def tell(text: str) -> None:
    """Progress goes to stderr, which pytest shows when a scenario fails."""
    sys.stderr.write(f"{text}\n")


def do(
    lab: Lab, *words: str, code: int | None = 0, answer: str = "", cwd: Path = ROOT, **env: str
) -> str:
    """Run a program as a stage of the lab does; return all it said. `code` None: any but 0.

    `answer` is what a person types.
    """
    program = shutil.which(words[0], path=environment(lab)["PATH"])
    assert program is not None
    done = subprocess.run(
        lab.workstation([program, *words[1:]]),
        cwd=cwd,
        env=environment(lab) | env,
        input=answer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, done.stdout[-6000:]
    else:
        assert done.returncode != 0, done.stdout[-6000:]
    assert "Traceback" not in done.stdout
    return done.stdout


def evidence(name: str, folder: Path = ROOT) -> dict[str, Any]:
    """Return what a command that ran in a folder left as evidence."""
    file = folder / "build" / "evidence" / f"{name}.json"
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def failed(name: str, folder: Path = ROOT) -> set[str]:
    """Return the checks that did not pass."""
    return {check["id"] for check in evidence(name, folder)["checks"] if not check["passed"]}


def changed(said: str) -> int:
    """Return the number of changed tasks of a playbook's recap."""
    counts = re.findall(r"changed=(\d+)", said)
    assert counts, said[-2000:]
    return sum(map(int, counts))


def changes(said: str) -> list[tuple[str, str]]:
    """Return host and task of each change that a playbook told, in their order."""
    found, task = [], ""
    for line in said.splitlines():
        if begun := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\]", line):
            task = begun[1]
        elif told := re.match(r"changed: \[([^]]*)\]", line):
            found.append((told[1], task))
    assert len(found) == changed(said), (found, said[-2000:])
    return found


def await_newer(lab: Lab, guest: str) -> None:
    """Wait until a guest answers and goes on writing."""
    first = lab.ask(guest, VOLUME_PATIENCE)
    deadline = time.monotonic() + WRITE_PATIENCE
    while lab.ask(guest).newest <= first.newest:
        assert time.monotonic() < deadline, f"{guest} writes no more"


def provision(lab: Lab) -> None:
    """Set the node up, where no scenario has done so yet."""
    users = lab.console("pve1", ["cat", "/etc/pve/user.json"], check=False).stdout
    if "services" not in users:
        do(lab, "ansible-playbook", "-i", TOWN, "playbooks/provision.yml")
