"""The ladder, live: one look after the other, with what only time tells, kept on disk.

The policy calls `Live.look` at each poll and does what the verdict says. A restart in the middle
of an outage takes up the time on battery where it was. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from typing import TYPE_CHECKING, Any

from releve.power import whole
from releve.power.ladder import Verdict, decide, decide_silent
from releve.power.trend import Mark, State, advance

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.instant import Instant
    from releve.power.ladder import Known, Site
    from releve.power.readings import Readings

LOG = logging.getLogger("ladder")
# One odd value must not stop a site: these have to say so for as long as a low battery has to.
CONFIRMED = ("runtime", "estimate", "charge")
SAVE_ON_BATTERY, SAVE_ON_LINE = 5.0, 60.0  # seconds between two writes when nothing changes


class Live:
    """The ladder of one UPS; `file` is where its state lives."""

    def __init__(self, file: Path, site: Site, known: Known) -> None:
        """Take up what an earlier life has left."""
        self.site, self.known = site, known
        self._file = file
        self.state = read_state(file)
        self._saved: tuple[bool, float] | None = None
        self._stop_since: float | None = None

    def look(
        self, now: Instant, readings: Readings | None, excused: frozenset[str] = frozenset()
    ) -> Verdict:
        """Return what is right now; `readings` None: the UPS, its driver or upsd said nothing.

        `none`, `ride` or `stop`, never `refuse`: a device that says what cannot be used counts as
        one that says nothing.
        """
        self.state, seen = advance(self.state, now, readings, self.site, self.known, excused)
        for note in seen.notes:
            LOG.warning("%s", note)
        self._save(now)
        if seen.readings is None or seen.readings.refusals:
            return decide_silent(self.site, seen.known, seen.moment)
        return self._confirm(now, decide(seen.readings, self.site, seen.known, seen.moment))

    def _confirm(self, now: Instant, verdict: Verdict) -> Verdict:
        if verdict.decision != "stop" or verdict.by not in CONFIRMED:
            self._stop_since = None
            return verdict
        if any(one.stops and one.name not in CONFIRMED for one in verdict.triggers):
            return verdict
        if self._stop_since is None or now.up < self._stop_since:
            self._stop_since = now.up
        held = now.up - self._stop_since
        if held >= self.site.lb_debounce:
            return verdict
        why = f"{verdict.why}; said for {held:.0f} of {self.site.lb_debounce:.0f} s"
        return dataclasses.replace(verdict, decision="ride", why=why)

    def _save(self, now: Instant) -> None:
        """Write the state when the mains came or went, and often enough between."""
        every = SAVE_ON_BATTERY if self.state.drained else SAVE_ON_LINE
        if self._saved is not None:
            drained, at = self._saved
            if drained == self.state.drained and 0 <= now.up - at < every:
                return
        try:
            write_state(self._file, self.state)
        except OSError as error:
            LOG.warning("%s: a restart will forget the time on battery (%s)", self._file, error)
        self._saved = (self.state.drained, now.up)


def read_state(file: Path) -> State:
    """Return the state of an earlier life, or a new one where there is none that can be read."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return _state_of(said)
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return State()


def _state_of(said: dict[str, Any]) -> State:
    """Return the state that JSON holds; raises TypeError or ValueError where it holds another."""
    for name in ("lowest", "lowest_charge"):
        if said.get(name) is not None:
            mark = Mark(**{key: _number(value) for key, value in said[name].items()})
            said[name] = mark if None not in (mark.at, mark.value) else None
    for name in ("voltages", "loads", "drain"):
        if said.get(name) is not None:
            said[name] = tuple(_number(one) for one in said[name])
    for name in ("distrusted", "none_on_line"):
        said[name] = tuple(str(one) for one in said.get(name, ()))
    state = State(**said)
    for one in dataclasses.fields(State):
        value, default = getattr(state, one.name), one.default
        if isinstance(default, bool | str):
            right = isinstance(value, type(default))
        elif isinstance(default, tuple) or one.name in ("lowest", "lowest_charge", "drain"):
            right = value is not None or default is None
        else:
            right = _number(value) is not None or default is None
        if not right:
            message = f"{one.name} is {value!r}"
            raise ValueError(message)
    if state.drain is not None and (len(state.drain) != 3 or state.drain[0] is None):  # noqa: PLR2004
        message = "drain has no three values"
        raise ValueError(message)
    return state


def _number(value: Any) -> Any:  # noqa: ANN401  # whatever JSON held
    """Return a number or None as it is; raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        message = f"{value!r} is no number"
        raise ValueError(message)
    return value


def write_state(file: Path, state: State) -> None:
    """Write the state, whole or not at all, and on the disk when this returns; raises OSError."""
    whole.write(file, json.dumps(dataclasses.asdict(state)))
