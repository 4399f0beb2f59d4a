"""The whole job: the lab comes up, the stages run one after the other, a report says what held."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.errors import ReleveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from releve.lab.topology import Lab

TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the job: a program of `.venv/bin` run at the workstation's place in the lab.

    `needs` is a file of the checkout without which the stage does not exist yet. `closing` stages
    run even when one before them failed. Exit codes other than 0 fail the run.
    """

    name: str
    argv: tuple[str, ...]
    needs: str
    closing: bool = False


# In the order of a run.
STAGES = (
    Stage("survey", ("releve", "survey", "old"), "scripts/releve/cli/survey.py"),
    Stage(
        "provision",
        ("releve", "drill", "provision"),
        "scripts/releve/cli/drill_provision.py",
    ),
    Stage("migrate", ("releve", "migrate", "run", "--all"), "scripts/releve/cli/migrate.py"),
    Stage(
        "protect",
        ("ansible-playbook", "-i", "inventory/lab/town.yml", "playbooks/power.yml"),
        "playbooks/power.yml",
    ),
    Stage("power", ("releve", "drill", "power", "--lab"), "scripts/releve/drills/power.py"),
    Stage("batteries", ("releve", "power", "state"), "scripts/releve/cli/power_state.py"),
    Stage(
        "vault",
        ("python", "-m", "releve.lab.vault_setup"),
        "scripts/releve/lab/vault_setup.py",
    ),
    Stage("copy", ("releve", "copy", "run", "--lab"), "scripts/releve/cli/copy.py"),
    Stage(
        "restore",
        ("releve", "drill", "restore", "compta", "--lab"),
        "scripts/releve/cli/drill_restore.py",
    ),
    Stage("report", ("releve", "report"), "scripts/releve/cli/report.py", closing=True),
)


class Progress:
    """One line for each step, with how long it took."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Write lines through `tell`."""
        self._tell = tell
        self._begun = time.monotonic()

    def done(self, name: str, verdict: str, since: float) -> None:
        """Say how a step ended that began at `since` (time.monotonic)."""
        now = time.monotonic()
        self._tell(f"{name:12} {verdict:8} {now - since:6.1f} s   (at {now - self._begun:5.0f} s)")

    def note(self, text: str) -> None:
        """Say a detail of the step that is going on."""
        self._tell(f"    {text}")

    def tail(self, log: Path) -> None:
        """Show the last lines of a log."""
        self.note(f"whole log: {log}")
        for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
            self.note(f"| {line}")


def environment(lab: Lab) -> dict[str, str]:
    """Return the environment of stages: our programs first, our configuration, this town."""
    return {
        **os.environ,
        "PATH": f"{lab.root / '.venv' / 'bin'}:{os.environ.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(lab.root / "ansible.cfg"),
        "RELEVE_INVENTORY": str(lab.town.folder),
        "PYTHONUNBUFFERED": "1",
    }


def forget_evidence(lab: Lab) -> None:
    """Remove evidence and report: what an earlier run proved says nothing of this one."""
    for old in ("evidence", "report"):
        shutil.rmtree(lab.root / "build" / old, ignore_errors=True)


def run_stages(lab: Lab, progress: Progress) -> bool:
    """Run the stages that exist; after a failed one only closing ones. Return whether all held."""
    whole = True
    forget_evidence(lab)
    for stage in STAGES:
        if not (lab.root / stage.needs).exists() or not (whole or stage.closing):
            continue
        begun = time.monotonic()
        log = lab.logs / f"{stage.name}.log"
        code = _run_stage(lab, stage, log)
        progress.done(stage.name, "done" if code == 0 else "FAILED", begun)
        if code != 0:
            whole = False
            progress.note(f"exit code {code}")
            progress.tail(log)
    return whole


def _run_stage(lab: Lab, stage: Stage, log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    program = shutil.which(stage.argv[0], path=environment(lab)["PATH"])
    if program is None:
        message = f"stage {stage.name}: no program {stage.argv[0]} in {lab.root / '.venv/bin'}"
        raise ReleveError(message)
    with log.open("wb") as output:
        process = subprocess.Popen(
            lab.workstation([program, *stage.argv[1:]]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=lab.root,
            env=environment(lab),
        )
        try:
            return process.wait()
        except BaseException:
            # Also for Ctrl-C: no stage goes on while its lab is taken away.
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def interrupt_on_signals() -> None:
    """Let a polite end (TERM, HUP) clean up as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
