"""How long each part of a power cut took, and the table that is made of it; pure.

Five figures of the whole cut (level 3), each a check of its evidence with the same id. A page of
the docs is written from the evidence, never by hand: `python -m releve.drills.power_times`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from releve.drills.evidence import Evidence, Value
    from releve.drills.power_verdict import PowerSeen

SEEN, FIRST, GUESTS, LAST, BACK = (
    "on-battery-seen",
    "decision-to-first-stop",
    "guest-phase",
    "last-guest-to-output-off",
    "all-back",
)
TITLES = {
    SEEN: "from the loss of the mains until the UPS's host says so",
    FIRST: "from the decision to the first stop",
    GUESTS: "from the decision to the last guest's stop",
    LAST: "from the last guest's stop to the output going off",
    BACK: "from the return of the mains until everybody is back, nobody touching anything",
}
GUEST_STEP = "guests"  # of the budget; what comes before it begins with "seeing it"


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the five: seconds, None when it did not happen; `predicted` is the worst case."""

    id: str
    seconds: float | None
    predicted: float | None = None
    note: str = ""


def judge_times(seen: PowerSeen, evidence: Evidence) -> None:
    """Write the figures that no other check has; a cut without guests has no guest phase."""
    decided = seen.word_at("FSD")
    stops = {name: guest.last_at for name, guest in seen.guests.items() if guest.last_at}
    downs = {name: at for name in seen.clients if (at := seen.down_at(name))}
    first = min((stops | downs).items(), key=lambda one: one[1], default=None)
    _check(evidence, FIRST, _between(seen.told_at(), first[1] if first else None),
           f"{first[0]} is the first" if first else "nobody stopped")  # fmt: skip
    if not seen.guests:
        return
    last = max(stops.values(), default=None)
    worst, expected = (predicted(seen.budget.get(key, ())) for key in ("steps", "expected_steps"))
    took = _between(decided, last)
    evidence.check(
        GUESTS,
        took is not None and (worst is None or took <= worst),
        took,
        unit="s",
        limit=worst,
        note="" if worst is None else f"{worst:g} s in the worst case, {expected:g} s expected",
    )
    off = seen.first("output-off")
    _check(evidence, LAST, _between(last, off.unix if off else None),
           "the guests' host stops, then the UPS waits its own delay")  # fmt: skip


def predicted(steps: Iterable[tuple[str, float]]) -> float | None:
    """Return what a budget reckons from the decision to the last guest's stop.

    The first step, seeing the decision, is over when the UPS says it. None for a budget of
    another version, which has no such steps.
    """
    total = 0.0
    for name, taken in list(steps)[1:]:
        total += taken
        if name == GUEST_STEP:
            return total
    return None


def figures_of(content: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of an evidence (its JSON), in the order of a cut."""
    checks = {one["id"]: one for one in content["checks"]}
    found = []
    for id_ in TITLES:
        if one := checks.get(id_):
            limit = one["limit"] if id_ == GUESTS else None
            note = one["note"] if id_ in {FIRST, GUESTS} else ""
            found.append(Figure(id_, _number(one["value"]), _number(limit), note))
    return found


def read_figures(file: Path) -> list[Figure]:
    """Return the figures of an evidence file; none where there is no such file.

    Raises InputError for a file that is no evidence.
    """
    try:
        return figures_of(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        message = f"{file} is no evidence of a drill ({type(error).__name__}: {error})"
        raise InputError(message) from error


def told(figures: Iterable[Figure]) -> list[str]:
    """Return a line for each figure, as a drill prints them."""
    return [f"{_said(one.seconds):>8}  {TITLES[one.id]}{f' ({one.note})' if one.note else ''}"
            for one in figures]  # fmt: skip


def as_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return them as JSON has them."""
    return [asdict(one) for one in figures]


def _said(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _check(evidence: Evidence, id_: str, seconds: float | None, note: str) -> None:
    evidence.check(id_, seconds is not None, seconds, unit="s", note=note)


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(end - begin, 1)


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
