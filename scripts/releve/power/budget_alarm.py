"""When people are told that the shutdown does not fit the battery any more; standard library only.

Each night whatever stands; between the nights what is new, and once that all fits again; when the
mains go everything, with what the battery carries at that moment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from releve.power import whole
from releve.power.ladder import charge_left
from releve.power.spool import Alarm
from releve.power.stock import known_of

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.budget import Budget, Settings
    from releve.power.readings import Readings

On = Literal["night", "guests", "on-battery"]
OCCASIONS: tuple[str, ...] = get_args(On)
NO_FIT = "the shutdown is not covered"
FITS = "the shutdown is covered again"


@dataclass(slots=True)
class Told:
    """What stands since the last look: UPS (or host) -> its faults."""

    faults: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Told:
        """Read it; a file that is none tells nothing."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls({str(who): [str(one) for one in found] for who, found in content.items()})
        except (OSError, ValueError, AttributeError, TypeError):
            return cls()

    def write(self, file: Path) -> None:
        """Write it, whole or not at all; raises OSError."""
        whole.write(file, json.dumps(self.faults))


def alarms_of(told: Told, found: dict[str, list[str]], on: On) -> list[Alarm]:
    """Return what people have to hear of what was `found` now."""
    alarms = []
    for who, faults in found.items():
        before = told.faults.get(who, [])
        new = faults if on != "guests" else [one for one in faults if one not in before]
        if new:
            alarms.append(Alarm("budget", who, f"{NO_FIT}: {'; '.join(new)}", "failure"))
        elif before and not faults:
            alarms.append(Alarm("budget", who, FITS, "success"))
    return alarms


def live_fault(one: Settings, budget: Budget, readings: Readings | None) -> str | None:
    """Return what is wrong with the battery as it is now; None: nothing that can be known.

    Its charge is the word that the timer does not know: that one starts from a full battery.
    Raises InputError for a record that is not sound.
    """
    if readings is None:
        return "the UPS says nothing while the mains are away: nobody knows what is left"
    known = known_of(one, budget)
    # What stood still in a discharge tells nothing, as on the ladder.
    charge, runtime = (
        None if known.stood_still(name) else getattr(readings, name)
        for name in ("charge", "runtime")
    )
    left = charge_left(charge, readings.load, known)
    seconds = [each for each in (left, runtime) if each is not None]
    if not seconds:
        return None
    carries = int(min(seconds) * budget.derate)
    if carries >= budget.need:
        return None
    shown = "" if charge is None else f", charge {charge:g} %"
    return (
        f"the battery carries {carries} s now ({int(min(seconds))} s x {budget.derate:g}{shown}), "
        f"the shutdown needs {budget.need} s: begin it by hand at once (upsmon -c fsd), or stop "
        "guests that can be missed"
    )
