"""How a run ends its rounds: at once, at an hour, or when somebody says so from elsewhere."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from releve.migrate.plan.terms import Window

DOWNTIME_SECONDS = 30.0
WORD = "cutover-now"
BARE_YEAR = 1900  # of a time that was given without a day


@dataclass(frozen=True, slots=True)
class Patience:
    """When a run may stop a guest.

    `downtime` is what the last delta may take at most, in seconds; with `wait` the run goes on
    with rounds until it is told; `at` is the moment before which it does not stop the guest.
    Outside of the `window` of its plan nobody is stopped, whatever was told.
    """

    downtime: float = DOWNTIME_SECONDS
    wait: bool = False
    at: datetime.datetime | None = None
    window: Window | None = None

    @property
    def waits(self) -> bool:
        """Whether a cutover needs more than a forecast that fits."""
        return self.wait or self.at is not None or self.window is not None

    def over(self, folder: Path, moment: datetime.datetime) -> bool:
        """Say whether the guest of the journal in `folder` may be stopped at that moment."""
        if self.window is not None and moment < self.window.opens:
            return False
        if not self.waits or told(folder):
            return True
        return not self.wait and (self.at is None or moment >= self.at)

    def missed(self, moment: datetime.datetime) -> bool:
        """Say whether the guest must not be stopped any more under this plan."""
        return self.window is not None and self.window.closed(moment)


def tell(folder: Path) -> None:
    """Tell the run that waits with the journal in `folder` to stop its guest now."""
    (folder / WORD).touch()


def told(folder: Path) -> bool:
    """Say whether somebody told so."""
    return (folder / WORD).exists()


def forget(folder: Path) -> None:
    """Forget the word: it is meant for one cutover."""
    (folder / WORD).unlink(missing_ok=True)


def now() -> datetime.datetime:
    """Return the present moment, of the local clock."""
    return datetime.datetime.now().astimezone()


def moment(at: datetime.datetime) -> datetime.datetime:
    """Return a time of the local clock as a moment; a bare hour is the next such one."""
    if at.year > BARE_YEAR:
        return at.astimezone()
    found = now().replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return found if found > now() else found + datetime.timedelta(days=1)


def told_forecast(row: dict[str, Any]) -> str:
    """Say the newest forecast that a status knows."""
    if row.get("forecast") is None:
        return "no forecast of its downtime yet"
    return f"its last delta was forecast at {row['forecast']:g} s; its stop and start come on top"
