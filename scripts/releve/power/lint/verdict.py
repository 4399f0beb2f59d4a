"""Judge a directory of NUT files: all findings, and the worst of them as the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from releve.power.lint import (
    rules_host,
    rules_login,
    rules_nut,
    rules_sched,
    rules_times,
    rules_told,
    rules_units,
    rules_ups,
    rules_upsd,
    rules_upsmon,
    rules_values,
)
from releve.power.lint.finding import Finding, Level, Rule
from releve.power.lint.model import FILES

if TYPE_CHECKING:
    from releve.power.lint.model import Configuration

GROUPS = {
    "nut.conf": rules_nut.RULES,
    "ups.conf: devices": rules_ups.RULES,
    "ups.conf: delays and thresholds": rules_values.RULES,
    "upsd.conf and upsd.users": rules_upsd.RULES,
    "upsmon.conf": rules_upsmon.RULES,
    "upsmon.conf: times": rules_times.RULES,
    "upsmon.conf: messages": rules_told.RULES,
    "What several files must agree on": rules_login.RULES,
    "upssched.conf": rules_sched.RULES,
    "The host around the files": rules_host.RULES,
    "Drop-ins of systemd": rules_units.RULES,
}
ALL: dict[str, Rule] = {name: rule for group in GROUPS.values() for name, rule in group.items()}
_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of a directory, the worst first."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """Return `refuse`, `warn` or `ok`; notes alone are ok."""
        levels = {one.level for one in self.findings}
        return next((level for level in (Level.REFUSE, Level.WARN) if level in levels), "ok")

    def document(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        found = [{**asdict(one), "where": one.where} for one in self.findings]
        return {"format": 1, "verdict": str(self.verdict), "findings": found}


def judge(conf: Configuration) -> Report:
    """Apply every rule."""
    found = {finding for rule in ALL.values() for finding in rule.findings(conf)}
    return Report(tuple(sorted(found, key=_place)))


def _place(finding: Finding) -> tuple[int, int, int, str, str]:
    order = FILES.index(finding.file) if finding.file in FILES else len(FILES)
    return _ORDER.index(finding.level), order, finding.line, finding.id, finding.at
