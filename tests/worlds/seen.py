"""How the scenarios ended when they were last run: kept in seen.json, shown on the page.

`where` is `-full` for a run on full hosts, and empty for one in a light world.

A run writes what it saw. An end is kept with a mark of what was run, so that one of a scenario that
has changed since is no evidence any more.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.worlds.scenarios import End, Scenario
    from tests.worlds.site import Mode

FILE = Path(__file__).with_name("seen.json")
Where = Literal["", "-full"]


@dataclass(frozen=True, slots=True)
class Seen:
    """An end that a run saw on a day; `wrong`: what was not as it is expected, `mark`: of what."""

    end: End
    wrong: tuple[str, ...]
    day: str
    mark: str


def mark_of(scenario: Scenario, mode: Mode) -> str:
    """Return what tells two versions of a scenario's world apart."""
    world = (scenario.site_in(mode), scenario.events, scenario.seconds)
    return hashlib.sha256(repr(world).encode()).hexdigest()[:12]


def seen_now(scenario: Scenario, mode: Mode, end: End, wrong: list[str]) -> Seen:
    """Return what a run of today has seen."""
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return Seen(end, tuple(wrong), day, mark_of(scenario, mode))


def keep(found: Mapping[tuple[str, Mode], Seen], where: Where = "") -> None:
    """Write what a run saw over what earlier ones saw of the same scenarios and modes."""
    kept = {f"{one}-{mode}{where}": asdict(seen) for (one, mode), seen in found.items()}
    text = json.dumps(dict(sorted((_raw() | kept).items())), indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")


def read(scenario: Scenario, mode: Mode, where: Where = "") -> Seen | None:
    """Return how a scenario as it is now ended in a mode, None when that was never run."""
    said = _raw().get(f"{scenario.id}-{mode}{where}")
    if said is None or said["mark"] != mark_of(scenario, mode):
        return None
    return Seen(said["end"], tuple(said["wrong"]), said["day"], said["mark"])


def _raw() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = (
        json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    )
    return content
