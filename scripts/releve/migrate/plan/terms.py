"""What a plan was made for, and how a run is held to it: waivers, bandwidth, window."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever plans wants: `window` in seconds, waivers as id=reason.

    `bandwidth` is what all copies may take of one old host's line, in MiB/s or by the hours of the
    week; nothing: what the town file says. `at` is the moment before which no guest is stopped;
    the window begins there.
    """

    waive: Sequence[str] = ()
    window: float | None = None
    bandwidth: str = ""
    at: datetime.datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what a plan file holds of it; its waivers stand at the checks."""
        at = self.at.isoformat() if self.at else None
        return {"window_seconds": self.window, "bandwidth": self.bandwidth, "at": at}


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Window:
    """When guests may be stopped: from `opens` on, and no more from `closes` on (None: ever)."""

    opens: datetime.datetime
    closes: datetime.datetime | None = None

    @classmethod
    def of(cls, terms: Mapping[str, Any]) -> Window | None:
        """Return the window of a plan's terms, None when it names no hour."""
        if not terms.get("at"):
            return None
        opens, length = datetime.datetime.fromisoformat(terms["at"]), terms["window_seconds"]
        closes = opens + datetime.timedelta(seconds=length) if length is not None else None
        return cls(opens, closes)

    def closed(self, moment: datetime.datetime) -> bool:
        """Say whether it is over."""
        return self.closes is not None and moment >= self.closes

    def __str__(self) -> str:
        """Return it as a person reads it."""
        until = f" to {self.closes:%Y-%m-%d %H:%M}" if self.closes else " on"
        return f"{self.opens:%Y-%m-%d %H:%M %z}{until}"


def hold(
    frozen: Mapping[str, Any],
    moment: datetime.datetime,
    bandwidth: str,
    at: datetime.datetime | None,
) -> tuple[str, Window | None]:
    """Return bandwidth and window that a run of this plan has.

    `bandwidth` (nothing: not said) and `at` (None: not said) are the command line's. Raises
    RefusedError when they say something else than the plan, or when its window is over.
    """
    terms = frozen["terms"]
    made = f"the plan of {frozen['made']}"
    planned, window = terms["bandwidth"], Window.of(terms)
    if bandwidth and bandwidth != planned:
        limit = f"with --bandwidth {planned}" if planned else "without --bandwidth"
        message = f"--bandwidth {bandwidth}: {made} was made {limit}; leave it out, or plan again"
        raise RefusedError(message)
    if at is not None and (window is None or window.opens != at):
        hour = f"for {window}" if window else "without an hour"
        message = f"--at {at:%Y-%m-%dT%H:%M}: {made} was made {hour}; leave it out, or plan again"
        raise RefusedError(message)
    if window is not None and window.closed(moment):
        message = f"{made}: its window is over ({window}); plan again"
        raise RefusedError(message)
    return planned, window
