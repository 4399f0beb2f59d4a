"""Run many worlds at once and keep what each of them said."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.worlds import image, switch
from tests.worlds.run import Event, NotReadyError, Run
from tests.worlds.scenarios import Scenario, end_of, faults

from releve.errors import RefusedError
from releve.lab import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.worlds.site import Mode, Site
    from tests.worlds.verdict import Outcome

FOLDER = Path(__file__).parents[2] / "build" / "worlds"
AT_ONCE = 32  # worlds; measured: 24 of them keep one of two cores busy
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


def run_all(
    jobs: Iterable[Job], tell: Callable[[Result], None] = lambda _result: None
) -> dict[str, Result]:
    """Run the worlds, many at once; raises what a world that broke has raised."""
    machine.need_root()
    switch.sweep()
    turn = threading.Lock()

    def one(numbered: tuple[int, Job]) -> Result:
        number, job = numbered
        with turn:
            time.sleep(STAGGER)
        result = run_one(job, root, number)
        tell(result)
        return result

    with image.tree() as root, ThreadPoolExecutor(AT_ONCE) as pool:
        return {result.name: result for result in pool.map(one, enumerate(jobs))}


def run_one(job: Job, root: Path, number: int) -> Result:
    """Run one world; one that did not become ready is tried once more."""
    for attempt in (1, 2):
        run = Run(job.site, job.events, job.seconds, FOLDER / job.name, root, number, job.awaited)
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
    site = dataclasses.replace(scenario.site, mode=mode)
    return Job(f"{scenario.id}-{mode}", site, scenario.events, scenario.seconds, scenario.awaited)


def verdict(scenario: Scenario, mode: Mode, result: Result) -> tuple[str, list[str]]:
    """Return how a scenario ended in a mode, and what is wrong with that."""
    if result.outcome is None:
        expected = scenario.expected[mode]
        return "refused", [] if expected == "refused" else [f"refused: {result.refused}"]
    return end_of(result.outcome), faults(scenario, mode, result.outcome)


def print_verdicts(pairs: Iterable[tuple[Scenario, Mode]]) -> int:
    """Run scenarios and print a line for each; return how many are not as expected."""
    wanted = list(pairs)
    by_name = {f"{scenario.id}-{mode}": (scenario, mode) for scenario, mode in wanted}
    bad = []

    def tell(result: Result) -> None:
        scenario, mode = by_name[result.name]
        seen, wrong = verdict(scenario, mode, result)
        words = "; ".join(wrong)
        sys.stdout.write(f"{'BAD ' if wrong else 'ok  '} {result.name:12} {seen:8} {words}\n")
        sys.stdout.flush()
        bad.extend(wrong)

    run_all((job_of(*pair) for pair in wanted), tell)
    return len(bad)
