"""What was measured of the lab's UPS: it is new in each lab, and so is the day of its record.

`records/UPS.json` is what `releve power measure UPS --how deep` saw there. After a change of its
battery, or of what it feeds, it has to be measured again (docs/how-to/keep-a-battery-true.md).
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from releve.power.measurement import Measurement

if TYPE_CHECKING:
    from releve.town.model import Town

RECORDS = Path(__file__).parent / "records"


def put(town: Town, today: datetime.date | None = None) -> None:
    """Write the record of each UPS beside the town file, as of today.

    A UPS whose capacity the town file says itself has none.
    """
    day = today or datetime.datetime.now(tz=datetime.UTC).date()
    for name, ups in town.ups.items():
        file = RECORDS / f"{name}.json"
        if ups.capacity_seconds is None and file.exists():
            seen = Measurement.read(file)
            past = tuple(dataclasses.replace(one, on=day) for one in seen.history)
            dataclasses.replace(seen, on=day, history=past).write(
                town.folder / "measured" / file.name
            )
