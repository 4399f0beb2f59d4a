"""How fast blocks move: what the limit allows, what was measured, what that forecasts."""

from __future__ import annotations

import datetime
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from releve.blocks.schedule import UNLIMITED, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
NAP_SECONDS = 0.2  # a thread that waits for the limit looks up so often
MEMORY_SECONDS = 20.0  # a rate is that of the last so many seconds
BURST_SECONDS = 1.0  # of what was not used, so much may be made up for


class Sized(Protocol):
    """A piece of work whose bytes count against the limit."""

    @property
    def length(self) -> int:
        """Its bytes."""


Job = TypeVar("Job", bound=Sized)


def local_time() -> datetime.datetime:
    """Return the present time by this machine's clock and zone."""
    return datetime.datetime.now().astimezone()


class Jobs(Generic[Job]):
    """What is still to be done, given out to several threads, not faster than the limit."""

    def __init__(
        self,
        jobs: Iterator[Job],
        limit: Schedule | None = None,
        now: Callable[[], datetime.datetime] = local_time,
    ) -> None:
        """`now` tells which window of the schedule holds."""
        self._jobs = jobs
        self._limit, self._now = limit or Schedule(), now
        self._lock = threading.Lock()
        self._next = time.monotonic()
        self._last_rate = UNLIMITED
        self._stopped = False

    def stop(self) -> None:
        """Give out nothing any more."""
        self._stopped = True

    def __iter__(self) -> Jobs[Job]:
        """Return itself: each thread takes what the others leave."""
        return self

    def __next__(self) -> Job:
        """Return the next job, when the limit lets it start."""
        with self._lock:
            while (rate := self._rate()) == 0 or time.monotonic() < self._next:
                if self._stopped or rate == UNLIMITED:
                    break
                wait = self._next - time.monotonic()
                time.sleep(NAP_SECONDS if rate == 0 else max(0.0, min(NAP_SECONDS, wait)))
            if self._stopped:
                raise StopIteration
            job = next(self._jobs)
            if rate != UNLIMITED:
                start = max(self._next, time.monotonic() - BURST_SECONDS)
                self._next = start + job.length / (rate * MIB)
            return job

    def _rate(self) -> float:
        """Return the rate of this moment; what is still to be waited for goes by that rate."""
        if not self._limit.windows:
            return UNLIMITED
        rate = self._limit.rate(self._now())
        if rate != self._last_rate and rate:
            now = time.monotonic()
            if UNLIMITED not in {self._last_rate, rate} and self._next > now:
                self._next = now + (self._next - now) * self._last_rate / rate
            self._last_rate = rate
        return rate


class Meter:
    """Measures bytes per second over the last while, and forecasts what is left."""

    def __init__(self, todo: int) -> None:
        """Begin to measure; `todo` is in bytes."""
        self.todo = todo
        self._begun = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._begun, 0)])

    def say(self, done: int) -> dict[str, float | None]:
        """Return `rate` in bytes/s, `eta` and `downtime` in seconds, None when nothing moves.

        `downtime` is what a last round would take that moves as many bytes as this one.
        """
        now = time.monotonic()
        self._marks.append((now, done))
        while len(self._marks) > 1 and self._marks[1][0] < now - MEMORY_SECONDS:
            self._marks.popleft()
        begun, before = self._marks[0]
        rate = (done - before) / max(now - begun, 1e-6)
        return {
            "rate": round(rate),
            "eta": forecast(self.todo - done, rate),
            "downtime": forecast(self.todo, rate),
        }


def forecast(length: int, rate: float) -> float | None:
    """Return the seconds that `length` bytes take at `rate` bytes/s; None when nothing moves."""
    if length <= 0:
        return 0.0
    return round(length / rate, 2) if rate > 0 else None
