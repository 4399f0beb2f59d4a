"""Keep the times of a power cut and write the page of the docs that shows them.

`python -m releve.drills.power_page build/evidence/power.json` takes those of a drill (level 3);
those of plain NUT, stock and policy come from the light worlds (`python -m tests.worlds.times`).
Without an argument the page is written anew from what is kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from releve.drills.power_times import TITLES, Figure, as_json, read_figures
from releve.errors import CheckError, ExitCode, ReleveError
from releve.playbook import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = CHECKOUT / "docs" / "explanation"
KEPT, PAGE = "power-times.json", "power-times.md"
DRILL = "drill"
# column -> its head; the drill's first, then the worlds'
COLUMNS = {
    DRILL: "drill in the lab",
    "plain": "plain NUT",
    "stock": "mode `stock`",
    "policy": "mode `policy`",
}
HEAD = """\
# How long a power cut takes

Written by `python -m releve.drills.power_page`, not by hand, from the evidence of `releve drill
power --lab` (level 3) and from the timelines of the light worlds (`python -m tests.worlds.times`).
Times are seconds.
"""
DRILLED = """\
## The drill

One cut of the lab's UPS: whole systems with systemd, TLS and the firewall, guests that write a
record every 100 ms. What the budget predicts is the worst case, with a client that hangs and a
backup that is ended first; a deploy that the battery cannot carry is refused by it. Expected is the
cut without these, with each guest's whole time for as long as no stop of it was measured.
"""
COMPARED = """\
## Beside plain stock NUT

The same cut in light worlds (scenario 1 of [all of them](power-scenarios.md): mains away for 42 s,
a battery of 60 s, three hosts), each with the real NUT 2.8.1. Plain NUT stops when the UPS itself
calls its battery low, ours when the budget says so. Back is who has logged in again; guests that
start later are not counted there.
"""
NONE = "Nothing is kept yet.\n"


def read_kept(folder: Path) -> dict[str, list[Figure]]:
    """Return what is kept: column -> figures; raises CheckError for a file that is another."""
    file = folder / KEPT
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return {column: [Figure(**one) for one in said[column]]
                for column in COLUMNS if column in said}  # fmt: skip
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        message = f"{file} is not what this program has written ({error}): take it from git again"
        raise CheckError(message) from error


def keep(folder: Path, new: Mapping[str, Iterable[Figure]]) -> None:
    """Put the figures of some columns in the place of those that were kept, and write the page."""
    kept = read_kept(folder) | {column: list(figures) for column, figures in new.items()}
    content = {column: as_json(kept[column]) for column in COLUMNS if column in kept}
    (folder / KEPT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(render(kept), encoding="utf-8")


def render(kept: Mapping[str, Sequence[Figure]]) -> str:
    """Return the page; pure."""
    worlds = {column: kept[column] for column in COLUMNS if column in kept and column != DRILL}
    parts = [HEAD, DRILLED, _drilled(kept[DRILL]) if DRILL in kept else NONE]
    parts += [COMPARED, _compared(worlds) if worlds else NONE]
    return "\n".join(parts)


def _drilled(figures: Iterable[Figure]) -> str:
    rows = [f"| {TITLES[one.id]} | {_said(one.seconds)} | {_predicted(one)} |" for one in figures]
    return "\n".join(["| | measured | predicted |", "|---|---|---|", *rows, ""])


def _compared(columns: Mapping[str, Sequence[Figure]]) -> str:
    lines = ["| | " + " | ".join(COLUMNS[name] for name in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]  # fmt: skip
    by_id = [{one.id: one.seconds for one in figures} for figures in columns.values()]
    for id_, title in TITLES.items():
        cells = [_said(each.get(id_)) for each in by_id]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _predicted(one: Figure) -> str:
    """Return what the budget reckons with, for a figure that it reckons."""
    return "" if one.predicted is None else one.note or f"{one.predicted:.1f}"


def _said(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f}"


def main(arguments: list[str]) -> int:
    """Keep the figures of an evidence, or write the page anew; one sentence for what is wrong."""
    try:
        new = {}
        if arguments:
            file = Path(arguments[0])
            new[DRILL] = read_figures(file)
            if not new[DRILL]:
                message = f"{file} has no times of a cut: run releve drill power --lab first"
                raise CheckError(message)  # as those of what it calls
        keep(FOLDER, new)
    except ReleveError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
