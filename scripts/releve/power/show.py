"""A budget for people: a table, and a timeline of the worst case beside the expected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.power.budget import Budget, Settings
    from releve.power.stops import Span

WIDTH = 20  # characters of one timeline
WAITED, BUSY = ".", "#"


def clock(seconds: float) -> str:
    """Return seconds as m:ss, with a sign when they are missing."""
    whole = int(abs(seconds) + 0.5)
    return f"{'-' if seconds < 0 else ''}{whole // 60}:{whole % 60:02d}"


def table(name: str, one: Settings, budget: Budget) -> list[str]:
    """Return the steps, worst and expected, and what is left of the battery."""
    rows = [("step", "worst", "expected")]
    for (step, worst), (_, expected) in zip(budget.steps, budget.expected_steps, strict=True):
        if worst or expected:
            rows.append((step, clock(worst), clock(expected)))
    rows.append(("together", clock(budget.need), clock(budget.expected)))
    rows.append((f"x {one.margin:g}: the shutdown starts at", clock(budget.trigger), ""))
    if budget.capacity is None or budget.usable is None or budget.margin is None:
        rows.append(("the battery was never measured: it starts after", clock(budget.timer), ""))
    else:
        measured = f"{clock(budget.capacity)} measured"
        if one.capacity_seconds not in (None, budget.capacity):
            shared = f"of {clock(one.capacity_seconds or 0)} measured with {one.supplies} supplies"
            measured = f"{clock(budget.capacity)} {shared}"
        carried = f"the battery carries ({measured} x {budget.derate:g})"
        rows.append((carried, clock(budget.usable), ""))
        rows.append(("waiting for the mains, promised", clock(one.ride_through_seconds), ""))
        left = budget.usable - one.ride_through_seconds - budget.expected
        rows.append(("left when all is down", clock(budget.margin), clock(left)))
        rows.append(("time on battery until it starts", clock(budget.timer), ""))
    wide = max(len(row[0]) for row in rows)
    head = f"{name}: {_verdict(budget)}"
    return [head, *(f"  {a:<{wide}}  {b:>6}  {c:>8}".rstrip() for a, b, c in rows)]


def _verdict(budget: Budget) -> str:
    if budget.faults:
        return "does not hold"
    if budget.margin is None:
        return "not proved: its battery was never measured"
    return f"holds, {clock(budget.margin)} to spare in the worst case"


def gantt(budget: Budget) -> list[str]:
    """Return the timeline from the trigger on, one line each; both halves have the same scale."""
    total = max([span.end for span in (*budget.worst_spans, *budget.expected_spans)], default=0)
    if not total:
        return []
    expected = {span.name: span for span in budget.expected_spans}
    wide = max(len(span.name) for span in budget.worst_spans)
    lines = [f"  {'from the trigger on':<{wide}}  {'worst':<{WIDTH + 13}}  expected"]
    for span in sorted(budget.worst_spans, key=lambda span: (span.begin, span.end)):
        halves = [_bar(span, total), _bar(expected.get(span.name), total)]
        lines.append(f"  {span.name:<{wide}}  {halves[0]:<{WIDTH + 13}}  {halves[1]}".rstrip())
    return lines


def _bar(span: Span | None, total: float) -> str:
    """Return the bar of one span and its times; nothing when it does not take place."""
    if span is None:
        return ""
    begin = min(WIDTH - 1, int(span.begin / total * WIDTH))
    end = max(begin + 1, round(span.end / total * WIDTH))
    bar = WAITED * begin + BUSY * (end - begin)
    return f"{bar:<{WIDTH}} {clock(span.begin)}-{clock(span.end)}"


def sentences(budget: Budget) -> Sequence[str]:
    """Return the faults, then the warnings, one line each."""
    return [f"fault: {one}" for one in budget.faults] + [f"note: {one}" for one in budget.warnings]
