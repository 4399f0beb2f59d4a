"""What a preflight check is, what it says, and what that means for a plan."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from releve.migrate.preflight.facts import Facts


class Verdict(enum.StrEnum):
    """What a check comes to. Only `failed`, and `cannot-know` where one must, stop a plan."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    UNKNOWN = "cannot-know"


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict with the value that was measured; `remedy` replaces the check's own one."""

    verdict: Verdict
    value: str
    remedy: str = ""


def passed(value: object = "") -> Said:
    """Nothing stands in the way here."""
    return Said(Verdict.PASSED, str(value))


def failed(value: object, remedy: str = "") -> Said:
    """The guest cannot move like this."""
    return Said(Verdict.FAILED, str(value), remedy)


def warning(value: object, remedy: str = "") -> Said:
    """It can move, and somebody should know this before."""
    return Said(Verdict.WARNING, str(value), remedy)


def unknown(why: object, remedy: str = "") -> Said:
    """It could not be read."""
    return Said(Verdict.UNKNOWN, str(why), remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at before a move.

    `code` is the place in the list of checks that this one answers, such as S5. `at_source` means
    that it needs what was read of the guest there. With `must_know` a plan is refused when the
    value could not be read. A check that cannot be waived says why in `fixed`.
    """

    id: str
    code: str
    title: str
    reads: str
    remedy: str
    judge: Callable[[Facts], Said]
    at_source: bool = False
    must_know: bool = False
    fixed: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check said of one guest. `waived` is the reason of whoever waived it."""

    id: str
    code: str
    verdict: Verdict
    value: str
    remedy: str = ""
    must_know: bool = False
    waived: str = ""

    @property
    def stops(self) -> bool:
        """Whether the guest must not move because of this."""
        bad = self.verdict is Verdict.FAILED
        blind = self.verdict is Verdict.UNKNOWN and self.must_know
        return (bad or blind) and not self.waived

    def as_dict(self) -> dict[str, Any]:
        """Return what a plan file holds of it."""
        content: dict[str, Any] = {
            "id": self.id,
            "code": self.code,
            "verdict": self.verdict.value,
            "value": self.value,
            "stops": self.stops,
        }
        if self.verdict is not Verdict.PASSED:
            content["remedy"] = self.remedy
        return content | ({"waived": self.waived} if self.waived else {})


@dataclass(slots=True)
class Collected:
    """The checks of one module, in their order."""

    checks: list[Check]

    def add(
        self,
        id_: str,
        code: str,
        reads: str,
        remedy: str,
        *,
        at_source: bool = False,
        must_know: bool = False,
        fixed: str = "",
    ) -> Callable[[Callable[[Facts], Said]], Callable[[Facts], Said]]:
        """Return a decorator that makes a check of a function; its docstring is the title."""

        def keep(judge: Callable[[Facts], Said]) -> Callable[[Facts], Said]:
            title = " ".join((judge.__doc__ or "").split())
            self.checks.append(
                Check(id_, code, title, reads, remedy, judge, at_source, must_know, fixed)
            )
            return judge

        return keep


def judge(checks: Iterable[Check], facts: Facts, waivers: Mapping[str, str]) -> list[Result]:
    """Return what each check says; a waiver only counts where there is something to waive."""
    results = []
    for check in checks:
        if check.at_source and facts.source is None:
            said = unknown(f"{facts.old.host} was not read")
        else:
            said = check.judge(facts)
        good = said.verdict is Verdict.PASSED
        remedy = (said.remedy or check.remedy).replace("GUEST", facts.name)
        results.append(
            Result(
                check.id,
                check.code,
                said.verdict,
                said.value,
                "" if good else remedy,
                check.must_know,
                "" if good else waivers.get(check.id, ""),
            )
        )
    return results
