"""Test batteries on schedule: `power.pyz test-battery quick|deep UPS`; a unit's timer runs it.

The quick test of each week is the proof of life of the UPS's link: it must show there and be over
within a minute. The deep test of each year ends before the timer of the time on battery, and says
what it saw. Both leave a line in `UPS.tests.json`; what is wrong becomes an alarm. Standard
library only.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from releve.errors import LaterError, RefusedError, ReleveError
from releve.power import whole
from releve.power.backstop import UPSSCHED, timer_of
from releve.power.measure import draining_words
from releve.power.measuring import FOLDER, HOLD, KNOWN, SPARE_SECONDS, begin, text_of
from releve.power.sampling import (
    SHOW_SECONDS,
    SPARE_CHARGE,
    Device,
    Journal,
    Request,
    UpsOfHost,
    command_for,
)
from releve.power.spool import SPOOL, Alarm, raise_alarm
from releve.power.tier_limits import Limits, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.power.measure import Reading

Kind = Literal["quick", "deep"]
KEPT = 200  # outcomes of a UPS
FAILED = re.compile(r"fail|error|\bNG\b|\bBT\b", re.IGNORECASE)  # HID's, SNMP's and APC's words
ABORTED = re.compile(r"abort|invalid", re.IGNORECASE)
FELL_ENOUGH = 10.0  # points of charge; less says nothing about the capacity
DEEP_ENOUGH = 50.0  # percent at which a deep test that nobody attends is ended
CAL_FILE = "calibrated"  # upsmon 2.8.1 takes a calibration to last for ever: it is restarted
LOG = logging.getLogger("test-battery")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test went. Seconds since it was asked for; None: it never did.

    `estimate_seconds` is no measurement: the capacity, had the charge gone on falling as it did.
    """

    at: float
    kind: Kind
    shown_seconds: float | None
    back_seconds: float | None
    result: str
    failed: bool
    calibrated: bool
    low: bool = False
    estimate_seconds: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the UPS was heard, came back, and found no fault."""
        return not self.why

    @property
    def why(self) -> str:
        """Say in one sentence what is wrong, nothing when nothing is."""
        if self.failed:
            return f'its {self.kind} battery test failed ("{self.result}"): replace the battery'
        if self.shown_seconds is None:
            return (
                f"its {self.kind} battery test did not show within {SHOW_SECONDS:g} s: what it says"
                " may be frozen, and a power cut would go unseen; look at the cable and the driver"
            )
        if self.back_seconds is None:
            return f"it did not come back from its {self.kind} battery test: look at it now"
        if self.low:
            return "its battery was low before the deep test was over: replace the battery"
        if ABORTED.search(self.result):
            return f'its {self.kind} battery test was not carried out ("{self.result}")'
        return ""


def outcome_of(journal: Journal, kind: Kind, at: float) -> Outcome:
    """Return how a test went, by its journal."""
    readings = journal.readings()
    after = [one for one in readings if one.seconds >= 0]
    words = draining_words(readings, kind)
    drained = [one for one in after if words & (one.status or frozenset())]
    zero = journal.zero or 0.0
    told = [(one.clock - zero, one.result) for one in journal.samples if one.status is not None]
    changed = [
        second for (_, before), (second, now) in pairwise(told) if second >= 0 and now != before
    ]
    result = told[-1][1] if changed else ""
    signs = [one.seconds for one in drained] + changed
    # What the result alone shows (a slow link sees nothing of ten seconds) was never away.
    back = next(
        (
            one.seconds
            for one in after
            if one.says("OL") and not words & (one.status or set()) and one.seconds >= max(signs)
        ),
        None,
    ) if signs else None  # fmt: skip
    return Outcome(
        at=at,
        kind=kind,
        shown_seconds=min(signs) if signs else None,
        back_seconds=back,
        result=result,
        failed=bool(FAILED.search(result)),
        calibrated=any("CAL" in (one.status or ()) for one in after),
        low=kind == "deep"
        and (any(one.says("LB") for one in drained) or journal.first("why") == "low"),
        estimate_seconds=_estimate(drained),
    )


def _estimate(drained: list[Reading]) -> int | None:
    known = [one for one in drained if one.charge is not None]
    if not known:
        return None
    fell = (known[0].charge or 0) - (known[-1].charge or 0)
    seconds = known[-1].seconds - known[0].seconds
    return int(seconds * (known[0].charge or 0) / fell) if fell >= FELL_ENOUGH else None


def outcomes(folder: Path, ups: str) -> list[Outcome]:
    """Return how the tests of a UPS went, oldest first."""
    try:
        rows: list[dict[str, Any]] = json.loads(text_of(folder / f"{ups}.tests.json") or "[]")
        return [Outcome(**row) for row in rows]
    except (ValueError, TypeError):
        return []


def keep(folder: Path, ups: str, outcome: Outcome) -> None:
    """Add an outcome to the list, written whole or not at all."""
    rows = [asdict(one) for one in (*outcomes(folder, ups), outcome)][-KEPT:]
    whole.write(folder / f"{ups}.tests.json", json.dumps(rows, indent=1) + "\n")


def run_test(
    kind: Kind,
    ups: str,
    device: Device,
    *,
    folder: Path,
    spool: Path,
    stop_charge: float | None = None,
) -> Outcome:
    """Run one test to its end, keep its outcome, raise an alarm for what is wrong.

    Raises LaterError while it must not begin (on battery, not charged, a backup runs), CheckError
    when the UPS offers no such test.
    """
    at = time.time()
    command_for(kind, device.commands())  # one that is not offered is not offered later, either
    request = Request(ups, kind)
    if kind == "deep":
        request = _deep(ups, timer_of(ups, text_of(UPSSCHED)), limits_of(ups), stop_charge)
    try:
        begin(request, device, folder, KNOWN, HOLD)
    except RefusedError as error:
        raise LaterError(str(error)) from error
    outcome = outcome_of(Journal.open(folder / f"{ups}.jsonl"), kind, at)
    keep(folder, ups, outcome)
    if outcome.why:
        raise_alarm(Alarm("battery-test", ups, outcome.why, "failure"), spool)
    if outcome.calibrated:
        (folder / CAL_FILE).touch()
        words = (
            "its test was told as a calibration, which upsmon 2.8.1 takes to last for ever: restart"
            " nut-monitor on every host that follows it (on this one it is done)"
        )
        raise_alarm(Alarm("calibration", ups, words, "warning"), spool)
    return outcome


def _deep(ups: str, timer: int | None, limits: Limits | None, stop_charge: float | None) -> Request:
    """Return a deep test that is over before anything stops the site, or a tier of it."""
    limits = limits or Limits()
    ends = [each - SPARE_SECONDS for each in (timer, limits.seconds) if each is not None]
    least = [stop_charge, None if limits.charge is None else limits.charge + SPARE_CHARGE]
    charge = max((each for each in least if each is not None), default=None)
    return Request(
        ups, "deep", stop_charge=charge, stop_seconds=min(ends, default=None), unattended=True
    )


def main(arguments: Iterable[str]) -> int:
    """Run one test; 0 passed, 4 not, 75 it must not begin now."""
    parser = argparse.ArgumentParser(prog="power.pyz test-battery")
    parser.add_argument("kind", choices=("quick", "deep"))
    parser.add_argument("ups")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--stop-charge", type=float, default=DEEP_ENOUGH)
    parser.add_argument("--spool", type=Path, default=SPOOL)
    options = parser.parse_args(list(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    device = UpsOfHost(options.ups)
    try:
        outcome = run_test(
            options.kind,
            options.ups,
            device,
            folder=options.folder,
            spool=options.spool,
            stop_charge=options.stop_charge,
        )
    except LaterError as error:
        LOG.warning("%s; tried again later", error)
        return error.exit_code
    except (ReleveError, OSError) as error:
        words = f"its {options.kind} battery test could not be made: {error}"
        raise_alarm(Alarm("battery-test", options.ups, words, "failure"), options.spool)
        LOG.error("%s", words)
        return error.exit_code if isinstance(error, ReleveError) else 1
    LOG.info("%s %s: %s", options.ups, options.kind, outcome.why or "passed")
    return 0 if outcome.passed else 4
