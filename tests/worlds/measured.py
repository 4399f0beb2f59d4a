"""What the sweep and the fuzz measured, as counts: kept in measured.json, shown on the page.

The worlds of a sweep may be run in parts; their outcomes lie in build/worlds until then.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.worlds import fuzz, sweep
from tests.worlds.runner import FOLDER, Result
from tests.worlds.scenarios import end_of, no_early_cut
from tests.worlds.verdict import Cut, Outcome

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.worlds.site import Mode

FILE = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True)
class Count:
    """Of how many worlds how many ended how; `planned` is how many there would be.

    `mixed`: half up, half dark; `dark`: somebody never back; `cut`: while running; `early`: a power
    command before the last host was down. What a cause on the list explains is in `excused` alone.
    `lag`: the longest time, in seconds, for which a world's power side stood still.
    """

    worlds: int
    planned: int = 0
    rides: int = 0
    clean: int = 0
    mixed: int = 0
    dark: int = 0
    cut: int = 0
    early: int = 0
    excused: int = 0
    lag: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing ended badly."""
        return not (self.mixed or self.dark or self.cut or self.early)


def count(results: Iterable[Result], excused: Iterable[str] = ()) -> Count:
    """Count how worlds ended; `excused` are the names of those with a cause on the list."""
    listed, names = list(results), set(excused)
    judged = [one.outcome for one in listed if one.outcome is not None and one.name not in names]
    ends = [end_of(outcome) for outcome in judged]
    return Count(
        worlds=len(listed),
        rides=ends.count("rides"),
        clean=ends.count("clean"),
        mixed=sum(outcome.mixed for outcome in judged),
        dark=ends.count("dark"),
        cut=ends.count("cut"),
        early=sum(bool(no_early_cut(outcome)) for outcome in judged),
        excused=len(names),
        lag=max((one.outcome.lag for one in listed if one.outcome is not None), default=0.0),
    )


def was_run(name: str) -> bool:
    """Tell whether the outcome of a world lies in build/worlds."""
    return (FOLDER / name / "outcome.json").exists()


def outcome_of(name: str) -> Outcome:
    """Read the outcome of a world that was run; raises InputError when it was not."""
    file = FOLDER / name / "outcome.json"
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        message = f"{file}: this world was not run; run all parts first"
        raise InputError(message) from None
    commands = [
        Cut(one["at"], one["command"], tuple(one["running"])) for one in content["commands"]
    ]
    lists = ("up", "dark", "missing", "unclean", "forced")
    tuples = {key: tuple(content[key]) for key in lists}
    logs = [(at, host, words) for at, host, words in content["logs"]]
    return Outcome(**{**content, **tuples, "commands": commands, "logs": logs})


def write(kind: str, mode: Mode) -> tuple[Count, list[str]]:
    """Count what was run of a mode's sweep or fuzz; return counts and sentences of bad ends."""
    jobs = sweep.jobs(mode) if kind == "sweep" else fuzz.jobs(mode)
    ran = [job.name for job in jobs if was_run(job.name)]
    results = [Result(name, outcome_of(name)) for name in ran]
    faults, excused = (sweep.bad(results), []) if kind == "sweep" else fuzz.bad(results)
    names = (words.partition(":")[0] for words in excused)
    found = dataclasses.replace(count(results, names), planned=len(jobs))
    kept = read()
    kept[f"{kind}-{mode}"] = found
    text = json.dumps({key: _shown(one) for key, one in sorted(kept.items())}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
    return found, [*faults, *excused]


def read() -> dict[str, Count]:
    """Return what was measured so far, `sweep-stock` and its like."""
    if not FILE.exists():
        return {}
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {key: Count(**one) for key, one in content.items()}


def _shown(one: Count) -> dict[str, float]:
    return {name: getattr(one, name) for name in Count.__slots__}
