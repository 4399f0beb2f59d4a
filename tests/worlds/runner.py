"""Run many worlds at once and keep what each said; who is told to end leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.worlds import image, seen, switch
from tests.worlds.run import Event, NotReadyError, Run
from tests.worlds.scenarios import Scenario, end_of, faults

from releve.errors import RefusedError
from releve.lab import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.worlds.scenarios import End
    from tests.worlds.site import Mode, Site
    from tests.worlds.verdict import Outcome

FOLDER = Path(__file__).parents[2] / "build" / "worlds"
# Measured on two cores that did other work besides: with 24 worlds in mode policy the power side of
# none stood still for longer than 1.3 s. A third less leaves room for a slower machine.
AT_ONCE_EACH_CORE = 8
KEEPING = threading.Lock()  # seen.json is written by one at a time
STAGGER = 0.3  # seconds between two starts: the boot is what costs


@dataclass(frozen=True, slots=True)
class Job:
    """A world to run: `name` is its folder below build/worlds."""

    name: str
    site: Site
    events: tuple[Event, ...]
    seconds: float
    awaited: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a world ended: its outcome, or why it was refused."""

    name: str
    outcome: Outcome | None
    refused: str = ""


def at_once() -> int:
    """Return how many worlds this machine carries at a time."""
    return AT_ONCE_EACH_CORE * (os.cpu_count() or 1)


def run_all(
    jobs: Iterable[Job],
    tell: Callable[[Result], None] = lambda _result: None,
    worlds: int | None = None,
) -> dict[str, Result]:
    """Run the worlds, so many at once; raises in the end what a world that broke has raised.

    A signal to end (INT, TERM, HUP) takes every world down with its hosts, namespaces and mounts,
    then raises KeyboardInterrupt.
    """
    machine.need_root()
    switch.sweep()
    turn, ended = threading.Lock(), threading.Event()

    def one(numbered: tuple[int, Job]) -> Result:
        number, job = numbered
        with turn:
            ended.wait(STAGGER)
        result = run_one(job, root, number, ended)
        tell(result)
        return result

    with (
        image.tree() as root,
        told_to_end(ended),
        ThreadPoolExecutor(worlds or at_once()) as pool,
    ):
        running = [pool.submit(one, numbered) for numbered in enumerate(jobs)]
        try:
            wait(running)
        except BaseException:
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {result.name: result for result in (future.result() for future in running)}


@contextlib.contextmanager
def told_to_end(ended: threading.Event) -> Iterator[None]:
    """Turn a signal into an interrupt of the main thread, which only waits for the worlds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        if not ended.is_set():  # once: a second signal would break what takes the worlds down
            ended.set()
            raise KeyboardInterrupt

    before = {
        number: signal.signal(number, end)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_one(job: Job, root: Path, number: int, ended: threading.Event) -> Result:
    """Run one world; one that did not become ready is tried once more."""
    for attempt in (1, 2):
        run = Run(
            job.site, job.events, job.seconds, FOLDER / job.name, root, number, job.awaited, ended
        )
        try:
            outcome = run.run()
        except RefusedError as error:
            return Result(job.name, None, str(error))
        except NotReadyError:
            if attempt == 2:
                raise
        else:
            text = json.dumps(dataclasses.asdict(outcome), indent=1)
            (run.folder / "outcome.json").write_text(text, encoding="utf-8")
            return Result(job.name, outcome)
    raise AssertionError


def job_of(scenario: Scenario, mode: Mode) -> Job:
    """Return the world of a scenario in a mode."""
    name = f"{scenario.id}-{mode}"
    return Job(name, scenario.site_in(mode), scenario.events, scenario.seconds, scenario.awaited)


def verdict(scenario: Scenario, mode: Mode, result: Result) -> tuple[End, list[str]]:
    """Return how a scenario ended in a mode, and what is wrong with that."""
    if result.outcome is None:
        expected = scenario.expected[mode]
        return "refused", [] if expected == "refused" else [f"refused: {result.refused}"]
    return end_of(result.outcome), faults(scenario, mode, result.outcome)


def print_verdicts(pairs: Iterable[tuple[Scenario, Mode]], worlds: int | None = None) -> int:
    """Run scenarios, print and keep how each ended; return how many faults there are."""
    wanted = list(pairs)
    by_name = {f"{scenario.id}-{mode}": (scenario, mode) for scenario, mode in wanted}
    bad = []

    def tell(result: Result) -> None:
        bad.extend(print_verdict(*by_name[result.name], result))

    run_all((job_of(*pair) for pair in wanted), tell, worlds)
    return len(bad)


def print_verdict(
    scenario: Scenario, mode: Mode, result: Result, where: seen.Where = ""
) -> list[str]:
    """Print and keep how a scenario ended; return what is wrong with that."""
    end, wrong = verdict_kept(scenario, mode, result, where)
    words = "; ".join(wrong)
    lag = result.outcome.lag if result.outcome else 0.0
    sys.stdout.write(f"{'BAD ' if wrong else 'ok  '} {result.name:12} {end:8} {lag:3.1f} {words}\n")
    sys.stdout.flush()
    return wrong


def verdict_kept(
    scenario: Scenario, mode: Mode, result: Result, where: seen.Where = ""
) -> tuple[End, list[str]]:
    """Return a verdict as `verdict` does, and keep it for the page."""
    end, wrong = verdict(scenario, mode, result)
    with KEEPING:
        seen.keep({(scenario.id, mode): seen.seen_now(scenario, mode, end, wrong)}, where)
    return end, wrong
