"""`python -m tests.worlds [--mode MODE] [ID|ID-MODE...]`: run scenarios, print how each ended.

`--sweep`, `--fuzz` run those in one mode (stock when none is named) and print what is wrong;
`--part 1/3` runs a third of them, and `--keep` counts what all parts have left, runs nothing;
`--rest` leaves out the worlds of which an outcome lies in build/worlds.
`--full` runs a few scenarios on full hosts (systemd containers, the roles applied by Ansible).
`--at-once N` runs N worlds at a time, where the machine carries more or less than was measured.
`--page` writes docs/explanation/power-scenarios.md and runs nothing.
"""

from __future__ import annotations

import argparse
import sys

from tests.worlds import full_run, fuzz, measured, page, sweep
from tests.worlds.catalogue import ALL
from tests.worlds.runner import Result, print_verdicts, run_all
from tests.worlds.scenarios import end_of

LAG = 1.0  # seconds; what is told of a busy machine


def main() -> int:
    """Return 1 when one ended as it should not."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds")
    parser.add_argument("--mode", action="append", choices=["plain", "stock", "policy"])
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--fuzz", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--rest", action="store_true")
    parser.add_argument("--at-once", type=int, metavar="N")
    parser.add_argument("ids", nargs="*")
    try:
        return _run(parser.parse_args())
    except KeyboardInterrupt:
        sys.stderr.write("told to end: every world was taken down\n")
        return 130


def _run(asked: argparse.Namespace) -> int:
    mode = (asked.mode or ["stock"])[0]
    if asked.keep:
        count, lines = measured.write("sweep" if asked.sweep else "fuzz", mode)
        _say([*lines, str(count)])
        return 0 if count.good else 1
    begin, step = asked.part
    if asked.sweep or asked.fuzz:
        jobs = (sweep if asked.sweep else fuzz).jobs(mode)[begin - 1 :: step]
        if asked.rest:
            jobs = [job for job in jobs if not measured.was_run(job.name)]
        each = run_all(jobs, tell, asked.at_once).values()
        found, excused = (sweep.bad(each), []) if asked.sweep else fuzz.bad(each)
        _say(excused)
        return _say(found)
    if asked.full:
        return 1 if full_run.print_verdicts(asked.mode or full_run.MODES, asked.ids) else 0
    if asked.page:
        page.FILE.write_text(page.render(), encoding="utf-8")
        return 0
    pairs = [
        (scenario, mode)
        for scenario in ALL
        for mode in scenario.expected
        if (not asked.ids or {scenario.id, f"{scenario.id}-{mode}"} & set(asked.ids))
        and (not asked.mode or mode in asked.mode)
    ]
    return 1 if print_verdicts(pairs[begin - 1 :: step], asked.at_once) else 0


def _part(text: str) -> tuple[int, int]:
    """Read "2/3"; raises ValueError for what is no part."""
    turn, total = (int(word) for word in text.split("/"))
    if not 1 <= turn <= total:
        raise ValueError(text)
    return turn, total


def tell(result: Result) -> None:
    """Print how a world of many ended."""
    seen = end_of(result.outcome) if result.outcome else "refused"
    lag = result.outcome.lag if result.outcome else 0.0
    late = f"  (stood still for {lag} s)" if lag > LAG else ""
    sys.stdout.write(f"{result.name:28} {seen}{late}\n")
    sys.stdout.flush()


def _say(lines: list[str]) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
