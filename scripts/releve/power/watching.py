"""Watch the UPSes of this host: `power.pyz watch CONFIG`; a unit restarts it should it ever end.

CONFIG is JSON: `{"upses": [{"name", "battery_installed", "battery_life_months", "tested"}]}`.
Looks are taken every few seconds, so that silence is told after a minute. Standard library only;
tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from releve.errors import InputError, ReleveError
from releve.power.battery import outcomes
from releve.power.forecast import LIFE_MONTHS, battery_date, forecast
from releve.power.measurement import known_of
from releve.power.measuring import FOLDER, KNOWN
from releve.power.metrics import Snapshot, text_of, write
from releve.power.readings import read
from releve.power.spool import SPOOL, raise_alarm, waiting
from releve.power.upsd import NoAnswerError, Upsd
from releve.power.watch import SENTENCES, Known, Memory, look, news

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.power.battery import Outcome
    from releve.power.measurement import Measurement

POLL = 5.0
KEEP_SECONDS = 60.0  # between two writings of what is remembered, when nothing is wrong
LOG = logging.getLogger("watch")


@dataclass(frozen=True, slots=True)
class Watched:
    """One UPS of the configuration; `tested`: whether tests are made on schedule."""

    name: str
    battery_installed: str | None = None
    battery_life_months: int = LIFE_MONTHS
    tested: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie on the UPS's host."""

    state: Path = Path("/var/lib/releve-watch")
    tests: Path = FOLDER
    measured: Path = KNOWN
    budget: Path = Path("/etc/releve/power-budget.json")
    metrics: Path = Path("/run/releve-watch/power.prom")
    spool: Path = SPOOL


def config_of(file: Path) -> list[Watched]:
    """Read the configuration; raises InputError."""
    try:
        return [Watched(**one) for one in json.loads(file.read_text(encoding="utf-8"))["upses"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{file}: is no configuration of the watch ({error}); apply playbooks/power.yml"
        raise InputError(message) from error


@dataclass(slots=True)
class Watch:
    """Takes one look after the other at all UPSes."""

    upses: list[Watched]
    places: Places = field(default_factory=Places)
    upsd: Upsd = field(default_factory=Upsd)
    memories: dict[str, Memory] = field(default_factory=dict)
    kept: float = 0.0

    def step(self, now: float) -> None:
        """Look at each UPS once, tell what is new, write what Prometheus reads."""
        shots = []
        keep = not 0 <= now - self.kept < KEEP_SECONDS
        for one in self.upses:
            file = self.places.state / f"{one.name}.json"
            if one.name not in self.memories:
                self.memories[one.name] = Memory.read(file, now)
                self.memories[one.name].resume(now)
            memory = self.memories[one.name]
            try:
                variables: Mapping[str, str] | None = self.upsd.variables(one.name)
            except (NoAnswerError, ReleveError):
                variables = None
            tests = tuple(outcomes(self.places.tests, one.name))
            measured = self.measured(one.name)
            known = self.known(one, tests, measured, variables or memory.values, today_of(now))
            wrong = look(memory, now, variables, known, today_of(now))
            told = self._tell(memory, one.name, wrong)
            if told or keep:
                self._keep(memory, file)
            readings = None if variables is None else read(variables)
            shots.append(
                Snapshot(one.name, readings, wrong, memory.changed, measured, known.due, tests)
            )
        self.kept = now if keep else self.kept
        write(self.places.metrics, text_of(shots, len(waiting(self.places.spool)), SENTENCES))

    def _keep(self, memory: Memory, file: Path) -> None:
        """Keep what is known of a UPS; a full disk is to stop no look at the next one."""
        try:
            memory.write(file)
        except OSError as error:
            LOG.error("%s: %s", file, error)  # one sentence, no traceback

    def _tell(self, memory: Memory, ups: str, wrong: Mapping[str, str]) -> bool:
        """Put what is new into the spool; what could not be put there is told at the next look."""
        before = list(memory.raised)
        alarms = news(memory, ups, wrong)
        try:
            for alarm in alarms:
                LOG.warning("%s: %s", alarm.ups, alarm.text)
                raise_alarm(alarm, self.places.spool)
        except OSError as error:
            memory.raised = before
            LOG.error("%s: %s", self.places.spool, error)  # one sentence, no traceback
        return bool(alarms)

    def measured(self, ups: str) -> Measurement | None:
        """Return the newest record of a UPS; one that cannot be read is told, and is none."""
        try:
            return known_of(ups, self.places.tests, self.places.measured)
        except InputError as error:
            LOG.warning("%s", error)
            return None

    def known(
        self,
        one: Watched,
        tests: tuple[Outcome, ...],
        measured: Measurement | None,
        values: Mapping[str, str],
        today: datetime.date,
    ) -> Known:
        """Return what its tests, its record and its values (of upsd) say of its battery."""
        shown = [test.at for test in tests if test.shown_seconds is not None]
        failed = tests[-1].why if tests and (tests[-1].failed or tests[-1].low) else ""
        installed = battery_date(values)
        if one.battery_installed:
            installed = datetime.date.fromisoformat(one.battery_installed)
        told = forecast(
            today,
            installed=installed,
            life_months=one.battery_life_months,
            past=measured.past if measured else (),
            estimates=[
                (today_of(test.at), float(test.estimate_seconds))
                for test in tests
                if test.kind == "deep" and test.estimate_seconds is not None
            ],
            need_seconds=self._need(one.name),
        )
        return Known(max(shown, default=None), failed, told.by, told.why, one.tested)

    def _need(self, ups: str) -> float | None:
        """Return the capacity below which the shutdown no longer fits; None: not reckoned."""
        try:
            budgets: dict[str, Any] = json.loads(self.places.budget.read_text(encoding="utf-8"))
            need: float | None = budgets[ups]["runtime_low"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return need


def today_of(now: float) -> datetime.date:
    """Return the day of a Unix time, here."""
    return datetime.datetime.fromtimestamp(now).astimezone().date()


def main(arguments: list[str]) -> NoReturn:
    """Look for ever, as the file of the first argument says; raises InputError."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    watch = Watch(config_of(Path(arguments[0])))
    while True:
        try:
            watch.step(time.time())
        except (OSError, ReleveError) as error:
            LOG.warning("%s", error)
        time.sleep(POLL)
