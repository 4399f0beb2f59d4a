"""How long each part of a power cut took in a light world: `python -m tests.worlds.times`.

Takes the timelines that scenario 1 has left (`python -m tests.worlds 1`), one for each mode, and
puts them into docs/explanation/power-times.md.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.worlds.runner import FOLDER

from releve.drills import power_page
from releve.drills.power_times import BACK, FIRST, GUESTS, LAST, SEEN, Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCENARIO = "1"
MODES = ("plain", "stock", "policy")
PRIMARY = "pve1"
ON_BATTERY = re.compile(r"\bUPS \S+ on battery$")
DECIDED = re.compile(r"forced shutdown in progress$|Executing automatic power-fail shutdown$"
                     r"|\bset FSD on UPS\b")  # fmt: skip
LOGGED_IN = re.compile(r"\bUser \S+@(\S+) logged into UPS")

Line = dict[str, Any]


def figures_of(lines: Sequence[Line], primary: str = PRIMARY) -> list[Figure]:
    """Return the figures of a timeline: one cut of the mains, and their return; pure."""
    lost, back = (_first(lines, "mains", kind) for kind in ("mains-off", "mains-on"))
    off = _first(lines, None, "output-off")
    begin = float("-inf") if lost is None else lost
    said = [one for one in lines if one["kind"] == "log" and one["subject"] == primary]
    seen = next((one["at"] for one in said if one["at"] > begin and ON_BATTERY.search(one["what"])),
                None)  # fmt: skip
    decided = next((one["at"] for one in said if one["at"] > begin and DECIDED.search(one["what"])),
                   None)  # fmt: skip
    until = float("inf") if off is None else off
    stopped = [
        one["at"] for one in lines if one["kind"] == "guest-stopped" and begin < one["at"] < until
    ]
    downs = [one["at"] for one in lines if one["kind"] == "down" and begin < one["at"] < until]
    return [
        Figure(SEEN, _between(lost, seen)),
        Figure(FIRST, _between(decided, min([*stopped, *downs], default=None))),
        Figure(GUESTS, _between(decided, max(stopped, default=None))),
        Figure(LAST, _between(max(stopped, default=None), off)),
        Figure(BACK, _between(back, max(_logins(said, back), default=None))),
    ]


def _logins(said: Sequence[Line], since: float | None) -> Iterator[float]:
    """Yield when each host that was ever logged in is so again; nothing when one is missing."""
    named = [(one["at"], found[1]) for one in said if (found := LOGGED_IN.search(one["what"]))]
    again: dict[str, float] = {}
    for at, address in named:
        if since is not None and at > since:
            again.setdefault(address, at)
    if set(again) == {address for _at, address in named}:
        yield from again.values()


def _first(lines: Sequence[Line], subject: str | None, kind: str) -> float | None:
    return next((float(one["at"]) for one in lines
                 if one["kind"] == kind and subject in {None, one["subject"]}), None)  # fmt: skip


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(end - begin, 1)


def main() -> int:
    """Keep what there is, say what there is not."""
    new = {}
    for mode in MODES:
        file = FOLDER / f"{SCENARIO}-{mode}" / "timeline.json"
        if file.exists():
            new[mode] = figures_of(json.loads(file.read_text(encoding="utf-8"))["lines"])
        else:
            sys.stderr.write(f"{file}: not there; run python -m tests.worlds --mode {mode} 1\n")
    if not new:
        return 1
    power_page.keep(power_page.FOLDER, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
