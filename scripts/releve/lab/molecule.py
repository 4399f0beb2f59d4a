"""Molecule for every role: each scenario on hosts of its own, from a copy of the role, two at once.

Only Molecule's exit code is believed; what it printed is in `build/lab/log/molecule-ROLE.log`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.lab import extra
from releve.lab.cache import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from releve.lab.topology import Lab

WORKERS = 2
PATIENCE_SECONDS = 1800  # most of it beside other tests, on a slow machine
# Of our own: a role would otherwise be run out of the copy, or in another scenario's folder.
FOREIGN = ("MOLECULE_EPHEMERAL_DIRECTORY", "MOLECULE_FILE", "MOLECULE_SCENARIO_DIRECTORY")


@dataclass(frozen=True, slots=True)
class Result:
    """How one scenario ended: Molecule's exit code (124: took too long), seconds, its log."""

    role: str
    scenario: str
    code: int
    seconds: float
    log: Path

    @property
    def passed(self) -> bool:
        """Whether Molecule says so."""
        return self.code == 0


def scenarios(root: Path, roles: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return role and scenario of all, or of the named roles; raises InputError for no scenario."""
    found = [
        (file.parents[2].name, file.parent.name)
        for file in sorted(root.glob("roles/*/molecule/*/molecule.yml"))
    ]
    for role in roles:
        if role not in {name for name, _scenario in found}:
            message = f"roles/{role}: no molecule/*/molecule.yml there, so nothing to test it with"
            raise InputError(message)
    return [(role, name) for role, name in found if not roles or role in roles]


def scenario_name(folder: Path) -> str:
    """Return the name of a scenario's hosts in the lab, from its folder in whatever copy."""
    role, scenario = folder.parents[1].name, folder.name
    return role if scenario == "default" else f"{role}-{scenario}"


def environment(lab: Lab, roles: Path) -> dict[str, str]:
    """Return what Molecule and the base configuration need; `roles` holds the role under test."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return kept | {
        "PATH": f"{lab.root / '.venv' / 'bin'}:{os.environ.get('PATH', '')}",
        "RELEVE_ROOT": str(lab.root),
        "RELEVE_ROLES": f"{roles}:{lab.root / 'roles'}",
        "PY_COLORS": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def test(lab: Lab, roles: Sequence[str], tell: Callable[[Result], None]) -> list[Result]:
    """Run the scenarios; `tell` hears of each when it ends. The lab's lock is the caller's."""
    extra.ensure_workstation(lab)
    results = []
    running: set[subprocess.Popen[bytes]] = set()
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        try:
            for result in pool.map(
                lambda one: _test(lab, running, *one), scenarios(lab.root, roles)
            ):
                tell(result)
                results.append(result)
        except BaseException:
            # No thread of the pool hears of it, and all of them are waited for.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(running):
                _end(process, signal.SIGTERM)
            raise
    return results


def _test(lab: Lab, running: set[subprocess.Popen[bytes]], role: str, scenario: str) -> Result:
    place = lab.state / "molecule" / f"{role}-{scenario}"
    shutil.rmtree(place, ignore_errors=True)
    copy = place / "roles" / role
    shutil.copytree(lab.root / "roles" / role, copy)
    # Short: ssh's control socket lies below it, and its path has 104 characters at most.
    env = environment(lab, copy.parent) | {
        "ANSIBLE_HOME": str(place / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/{lab.name}-{key_of(role, scenario)}",  # noqa: S108
    }
    log = lab.logs / f"molecule-{scenario_name(copy / 'molecule' / scenario)}.log"
    argv = ["molecule", "--base-config", str(lab.root / ".config/molecule/config.yml"), "test"]
    begun = time.monotonic()
    words = lab.workstation([*argv, "--scenario-name", scenario])
    code = _run(words, copy, env, log, running)
    extra.scenario_down(
        lab, scenario_name(copy / "molecule" / scenario), copy / "molecule" / scenario
    )
    shutil.rmtree(env["ANSIBLE_SSH_CONTROL_PATH_DIR"], ignore_errors=True)
    return Result(role, scenario, code, time.monotonic() - begun, log)


def _run(
    argv: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    log: Path,
    running: set[subprocess.Popen[bytes]],
) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        running.add(process)
        try:
            return process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            _end(process, signal.SIGKILL)
            return 124
        finally:
            running.discard(process)


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a program and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
