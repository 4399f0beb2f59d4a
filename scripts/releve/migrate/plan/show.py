"""A plan as text for whoever sits at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.migrate.preflight.check import Verdict
from releve.migrate.preflight.units import size, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from releve.migrate.plan.make import GuestPlan

MARKS = {
    Verdict.PASSED: "ok  ",
    Verdict.FAILED: "FAIL",
    Verdict.WARNING: "warn",
    Verdict.UNKNOWN: "?   ",
}


def text_of(
    plan: Mapping[str, Any], guests: Sequence[GuestPlan], *, whole: bool = False
) -> Iterator[str]:
    """Yield the lines; without `whole` the checks that passed are only counted."""
    for number, wave in enumerate(plan["waves"], 1):
        yield f"wave {number}: {', '.join(wave)}"
    for guest in guests:
        yield from _guest(guest, whole=whole)
    for name, storage in plan["space"].items():
        free = "unknown" if storage["free"] is None else size(storage["free"])
        yield f"space on {name}: {size(storage['needed'])} needed, {free} free"


def _guest(guest: GuestPlan, *, whole: bool) -> Iterator[str]:
    facts = guest.facts
    verdict = "can move" if guest.possible else "cannot move yet"
    yield f"{guest.name}: {verdict}, {facts.guest.source} -> {facts.guest.target}"
    if guest.forecast:
        for disk in guest.forecast.disks:
            rung = disk.rung
            yield f"  {disk.name}: {rung.name}: {rung.why}; the stop follows from: {rung.downtime}"
        yield from _forecast(guest)
    passed = 0
    for result in guest.results:
        passed += result.verdict is Verdict.PASSED
        if result.verdict is not Verdict.PASSED or whole:
            hint = f"  ({result.remedy})" if result.remedy else ""
            waived = f"  [waived: {result.waived}]" if result.waived else ""
            yield f"  {MARKS[result.verdict]} {result.id}: {result.value}{hint}{waived}"
    yield f"  {passed} of {len(guest.results)} checks passed"


def _forecast(guest: GuestPlan) -> Iterator[str]:
    expected = guest.forecast
    if expected is None:
        return
    parts = ", ".join(f"{name} {span(seconds)}" for name, seconds in expected.parts.items())
    stands = f"at most {span(expected.downtime)} ({parts})" if parts else "none, it is off"
    yield f"  seed {span(expected.seed)}; it stands still {stands}"
    if expected.assumed:
        yield f"  assumed, not measured: {'; '.join(expected.assumed)}"
