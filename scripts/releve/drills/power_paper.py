"""Level 0 of the power drill: the budget of the town file, and the files as they are deployed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from releve.command import CommandError
from releve.errors import CheckError, LaterError
from releve.playbook import CHECKOUT
from releve.power.budget import Budget, Settings, budget_of, with_live_day
from releve.town.power_settings import made_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from releve.drills.evidence import Evidence
    from releve.town.model import Town

DEFAULTS = CHECKOUT / "roles" / "nut_primary" / "defaults" / "main.yml"
PREFIX = "nut_primary_"
LINT_SECONDS = 30
DEPLOYED = "/etc/releve/power-budget.json"
# What a deployed budget has to have in common with the one of the town file.
COMPARED = ("capacity", "need", "trigger", "timer")


class Host(Protocol):
    """A host with NUT, as level 0 asks it."""

    def carry(self, *words: str, timeout: float = ...) -> subprocess.CompletedProcess[str]:
        """Run a verb of the power programs there."""

    def read(self, file: str) -> str | None:
        """Return a file's text, None when it is not there."""

    def processors(self) -> int:
        """Return how many processors it has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the linter says of a host's files: `level` is refuse, warn or note."""

    level: str
    where: str
    text: str


def settings_of(variables: Mapping[str, Any], ups: str, processors: int) -> Settings:
    """Return what the budget of a UPS is made of, from its host's role variables.

    The same as `tasks/budget.yml` of role nut_primary makes of them; raises InputError when the
    host has no such UPS.
    """
    defaults = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    given = {key.removeprefix(PREFIX): value for key, value in (defaults | dict(variables)).items()
             if key.startswith(PREFIX)}  # fmt: skip
    return with_live_day(made_of(given, ups, processors))


def drill(
    town: Town, ups: str, variables: Mapping[str, Any], hosts: Mapping[str, Host],
    evidence: Evidence,
) -> Budget:  # fmt: skip
    """Judge the budget and the files of every host; returns the budget.

    Raises LaterError when the UPS's host does not answer.
    """
    primary = town.ups[ups].host
    try:
        processors = hosts[primary].processors()
    except CommandError as error:
        message = f"{primary} does not answer: {error.reason}"
        raise LaterError(message) from error
    settings = settings_of(variables, ups, processors)
    budget = budget_of(settings)
    judge_budget(budget, evidence)
    try:
        judge_deployed(primary, budget, deployed_budget(primary, ups, hosts[primary]), evidence)
    except CheckError as error:
        evidence.check(f"{primary}.budget-deployed", passed=False, note=str(error))
    for name, host in hosts.items():
        judge_files(name, host, evidence)
    return budget


def judge_budget(budget: Budget, evidence: Evidence) -> None:
    """See that the battery was measured and carries the shutdown."""
    evidence.check(
        "measured",
        budget.capacity is not None,
        budget.capacity,
        unit="s",
        note="" if budget.capacity else "never measured: releve power measure",
    )
    evidence.check(
        "budget",
        not budget.faults and budget.capacity is not None,
        budget.need,
        unit="s",
        limit=budget.capacity,
        note="; ".join(budget.faults) or "worst case",
    )


def judge_deployed(host: str, budget: Budget, said: Mapping[str, Any], evidence: Evidence) -> None:
    """See that the host works with the budget of the town file."""
    wanted = asdict(budget)
    differs = [f"{key} {said.get(key)}, not {wanted[key]}" for key in COMPARED
               if said.get(key) != wanted[key]]  # fmt: skip
    note = f"{'; '.join(differs)}: run playbooks/power.yml" if differs else ""
    evidence.check(f"{host}.budget-deployed", not differs, note=note)


def deployed_budget(name: str, ups: str, host: Host) -> dict[str, Any]:
    """Return the budget that a host works with; raises CheckError when it has none."""
    try:
        said: dict[str, Any] = json.loads(host.read(DEPLOYED) or "{}")[ups]
    except (ValueError, KeyError) as error:
        message = f"{name}: {DEPLOYED} does not have {ups}: run playbooks/power.yml"
        raise CheckError(message) from error
    return said


def judge_files(name: str, host: Host, evidence: Evidence) -> None:
    """Let the linter read the host's own files, there: their passwords do not travel."""
    try:
        findings = findings_of(name, host)
    except (CommandError, CheckError) as error:
        evidence.check(f"{name}.files", passed=False, note=str(error))
        return
    bad = [one for one in findings if one.level == "refuse"]
    shown = bad or [one for one in findings if one.level == "warn"]
    evidence.check(
        f"{name}.files",
        not bad,
        len(bad),
        limit=0,
        note="; ".join(f"{one.where}: {one.text}" for one in shown),
    )


def findings_of(name: str, host: Host) -> list[Finding]:
    """Return what the linter says; raises CheckError when it says nothing that is known."""
    done = host.carry("lint", "/etc/nut", "--host", "--json", timeout=LINT_SECONDS)
    try:
        said = json.loads(done.stdout)
        return [Finding(one["level"], one["where"], one["text"]) for one in said["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        why = (done.stderr.strip() or "no answer").splitlines()[-1]
        message = f"{name}: the linter could not read its files: {why}"
        raise CheckError(message) from error
