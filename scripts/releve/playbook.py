"""Run the project's playbooks and read what they did, or would do, task by task."""

from __future__ import annotations

import difflib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.command import run
from releve.errors import ReleveError

if TYPE_CHECKING:
    from releve.town import Town

CHECKOUT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Difference:
    """A task that changed something, or would: where, its name, and the lines of its diff."""

    host: str
    task: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a playbook did."""

    playbook: str
    tasks: int
    differences: tuple[Difference, ...]


def exists(name: str) -> bool:
    """Say whether the checkout has a playbook of this name."""
    return (CHECKOUT / "playbooks" / f"{name}.yml").exists()


def play(town: Town, name: str, *, check: bool = False) -> Outcome:
    """Run a playbook on the whole town (with `check`: change nothing) and return what differs.

    Raises ReleveError that names the task that failed, or the host that did not answer.
    """
    argv = [_program("ansible-playbook"), "-i", str(town.file)]
    argv += [str(CHECKOUT / "playbooks" / f"{name}.yml"), "--diff"]
    argv += ["--check"] if check else []
    done = run(argv, timeout=RUN_SECONDS, check=False, env=_environment(town), cwd=str(CHECKOUT))
    start = done.stdout.find("{")
    try:
        told = json.loads(done.stdout[max(start, 0) :])
    except ValueError as error:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        message = f"playbooks/{name}.yml did not run: {said}"
        raise ReleveError(message) from error
    return outcome(name, told, done.returncode)


def outcome(name: str, told: dict[str, Any], code: int) -> Outcome:
    """Return what a run did from Ansible's JSON and exit code; raises ReleveError on failure."""
    results = list(_results(told))
    if code != 0:
        raise ReleveError(_failure(name, code, results))
    changed = [
        Difference(host, task, tuple(_lines(result)))
        for host, task, result in results
        if result.get("changed")
    ]
    return Outcome(name, len(results), tuple(changed))


def _failure(name: str, code: int, results: list[tuple[str, str, dict[str, Any]]]) -> str:
    """Say which task failed; of a block with a rescue the last one gives the reason."""
    failed = [one for one in results if one[2].get("failed") or one[2].get("unreachable")]
    if not failed:
        return f"playbooks/{name}.yml ended with exit code {code}"
    host, task, result = failed[-1]
    why = " ".join(str(result.get("msg", "no message")).split())
    return f"playbooks/{name}.yml: {host}: {task}: {why}"


def variables(town: Town, host: str) -> dict[str, Any]:
    """Return a host's variables as Ansible sees them, secrets included: keep them in memory."""
    argv = [_program("ansible-inventory"), "-i", str(town.file), "--host", host]
    told: dict[str, Any] = json.loads(run(argv, timeout=120, env=_environment(town)).stdout)
    return told


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _environment(town: Town) -> dict[str, str]:
    # Callbacks of a person's own, as one that times the tasks, would write behind the JSON.
    kept = {name: os.environ[name] for name in os.environ if name != "ANSIBLE_CALLBACKS_ENABLED"}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "RELEVE_INVENTORY": str(town.folder),
    }


def _results(told: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (host, str(task["task"]["name"]), result)
        for one in told["plays"]
        for task in one["tasks"]
        for host, result in task["hosts"].items()
    ]


def _lines(result: dict[str, Any]) -> list[str]:
    """Return the differences of a task: those of its loop's items too, without secrets."""
    if result.get("steps"):
        return [str(line) for line in result["steps"]]
    several = [item for item in result.get("results", []) if item.get("changed")]
    lines = [line for item in several for line in _lines(item)]
    given = result.get("diff") or []
    for diff in [given] if isinstance(given, dict) else given:
        lines += _unified(diff)
    return lines


def _unified(diff: dict[str, Any]) -> list[str]:
    if "prepared" in diff:
        return str(diff["prepared"]).splitlines()
    before, after = (_text(diff.get(side, "")) for side in ("before", "after"))
    title = str(diff.get("after_header") or diff.get("before_header") or "")
    body = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
    return [title, *body] if title and body else body


def _text(value: object) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True)
    return text.splitlines()
