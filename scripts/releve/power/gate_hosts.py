"""Ask the gate of each host that a UPS guards, from the workstation: is the site guarded, now?

The gate itself is `power.pyz gate`, which the roles put there; here it is only asked, over ssh at
all hosts at once, and its words are collected.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from releve.command import CommandError
from releve.errors import ExitCode
from releve.power.gate import LOGIN_WAIT
from releve.ssh import Ssh

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterable, Sequence

    from releve.town.model import Town

PROGRAM = "/usr/local/lib/releve/power.pyz"
ASK = f"test -e {PROGRAM} || exit 127; exec /usr/bin/python3 -I {PROGRAM} gate --json"
NOT_THERE = 127  # a shell's code for a program that is not installed, and ours
UNREACHED = 255  # ssh's own code
ENOUGH_SECONDS = LOGIN_WAIT + 60  # its waits, and the time that a busy host takes


class Shell(Protocol):
    """A way to a host; `releve.ssh.Ssh`, or a test's own."""

    def run(
        self, command: str, *, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one shell line there; raises CommandError."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one host said: the checks of its gate, or `error`; `reached`: whether it was there."""

    host: str
    checks: tuple[dict[str, Any], ...] = ()
    error: str = ""
    reached: bool = True

    @property
    def open(self) -> bool:
        """Whether it is guarded."""
        return not self.error and all(one["verdict"] != "failed" for one in self.checks)


def guarded_by(town: Town, upses: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the hosts that have a gate, and the clients that cannot be asked, for some UPSes."""
    asked: dict[str, None] = {}
    silent: dict[str, None] = {}
    for name in upses:
        asked |= dict.fromkeys((town.ups[name].host, *town.secondaries(name)))
        silent |= dict.fromkeys(town.ups[name].clients)
    return list(asked), [host for host in silent if host not in asked]


def ask_all(town: Town, hosts: Sequence[str]) -> list[Answer]:
    """Ask the gates of these hosts, side by side; in their order."""
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return list(pool.map(lambda host: ask(host, Ssh.to(town, host)), hosts))


def ask(host: str, shell: Shell) -> Answer:
    """Ask one host; what keeps it from answering becomes the answer's error."""
    try:
        done = shell.run(ASK, timeout=ENOUGH_SECONDS, check=False)
    except CommandError as error:
        return Answer(host, error=f"no answer: {error}", reached=False)
    words = (done.stderr.strip() or "without a word").splitlines()[-1]
    if done.returncode == UNREACHED:
        return Answer(host, error=f"ssh does not reach it: {words}", reached=False)
    if done.returncode == NOT_THERE:
        return Answer(host, error=f"has no {PROGRAM}: apply playbooks/power.yml")
    checks = _checks_of(done.stdout)
    if not checks:
        said = words.removeprefix("gate: ")
        return Answer(host, error=f"its gate ended with {done.returncode}: {said}")
    return Answer(host, checks)


def _checks_of(text: str) -> tuple[dict[str, Any], ...]:
    """Return the checks that a gate printed; none where it printed something else."""
    wanted = {"id", "value", "verdict", "remedy", "ups"}
    try:
        checks = tuple(json.loads(text)["checks"])
        return checks if all(wanted <= one.keys() for one in checks) else ()
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def lines_of(answers: Iterable[Answer], silent: Collection[str] = ()) -> list[str]:
    """Return what a person reads: a line for each host, and below it what is wrong there."""
    lines = []
    for one in answers:
        if one.error:
            lines.append(f"{one.host}: NOT GUARDED, {one.error}")
            continue
        wrong = [check for check in one.checks if check["verdict"] != "passed"]
        lines.append(
            f"{one.host}: guarded, {len(one.checks)} checks"
            if one.open
            else f"{one.host}: NOT GUARDED"
        )
        for check in sorted(wrong, key=lambda check: bool(check["verdict"] != "failed")):
            about = f"{check['ups']}: " if check["ups"] else ""
            lines.append(
                f"  {check['verdict']:7} {check['id']}: {about}{check['value']}; {check['remedy']}"
            )
    lines += [f"{host}: not asked, it does not log in and has no gate" for host in silent]
    return lines


def document(answers: Sequence[Answer], silent: Sequence[str]) -> dict[str, Any]:
    """Return the answers as JSON takes them."""
    hosts = {
        one.host: {
            "verdict": "passed" if one.open else "failed",
            "error": one.error,
            "checks": list(one.checks),
        }
        for one in answers
    }
    verdict = "passed" if all(one.open for one in answers) else "failed"
    return {"format": 1, "verdict": verdict, "hosts": hosts, "not_asked": list(silent)}


def code_of(answers: Iterable[Answer]) -> ExitCode:
    """Return 4 where a host is not guarded, 75 where the only fault is that one did not answer."""
    shut = [one for one in answers if not one.open]
    if any(one.reached for one in shut):
        return ExitCode.CHECK_FAILED
    return ExitCode.LATER if shut else ExitCode.DONE
