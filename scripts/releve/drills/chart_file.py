"""The chart of a drill as a file of its own, beside its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.drills.report.language import Language
from releve.drills.report.page import chart_of
from releve.drills.report.read import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from releve.town.model import Town


def write_chart(town: Town, name: str, folder: Path) -> Path | None:
    """Write `NAME.svg` from the evidence `NAME.json`, in the town's language; return its path.

    A drill that was refused before it began leaves no evidence, and so no chart: then None, and
    the chart of an earlier run is gone, as its evidence is.
    """
    file = folder / f"{name}.svg"
    file.unlink(missing_ok=True)
    record = read_record(folder / f"{name}.json")
    if record.content is None or not record.content.events:
        return None
    language = Language.of(town.town.language, town.town.timezone)
    file.write_text(chart_of(record, language), encoding="utf-8")
    return file
