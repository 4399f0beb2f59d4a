"""How far each guest is, from its journal alone: no host is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from releve.blocks.journal import read
from releve.migrate.record import FOLDER, run_events, stage_of, verdicts

if TYPE_CHECKING:
    from pathlib import Path


def status(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return stage, run, times and last progress of one guest."""
    events = run_events(read(folder / name / "journal.jsonl"))
    progress = folder / name / "progress.json"
    return {
        "guest": name,
        "stage": stage_of(events),
        "run": events[0]["run"] if events else None,
        "began": events[0]["at"] if events else None,
        "terms": events[0].get("terms") if events else None,
        "last": events[-1]["event"] if events else None,
        "at": events[-1]["at"] if events else None,
        "rounds": sum(event["event"] == "round-done" for event in events),
        "forecast": next(
            (e["seconds"] for e in reversed(events) if e["event"] == "forecast"), None
        ),
        "failed": [check["id"] for check in verdicts(events) if not check["passed"]],
        "progress": json.loads(progress.read_text()) if progress.exists() else None,
    }
