"""The end of the way back: what a moved guest left at its old host may go.

Nothing is wiped here: a guest that is retired cannot be rolled back any more, and
`pyinfra_deploys/retire_old_host.py` wipes only the disks of guests that are.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from releve.errors import RefusedError
from releve.migrate.record import verdicts

if TYPE_CHECKING:
    from releve.migrate.record import Record


def refuse_retirement(name: str, record: Record, soak_days: int, now: datetime.datetime) -> None:
    """Raise RefusedError when the way back must stay open: no audit, a failed check, no soak."""
    if record.stage == "retired":
        return
    if record.stage != "audited":
        why = "it has not moved" if record.stage != "moved" else "its source was not audited yet"
        message = f"{name}: {why}; `releve migrate run {name}` first"
        raise RefusedError(message)
    if bad := [check["id"] for check in verdicts(record.events) if not check["passed"]]:
        message = f"{name}: {bad[0]} failed; its source is not given up"
        raise RefusedError(message)
    moved = record.last("moved")
    assert moved is not None  # noqa: S101  # the stage says so
    end = datetime.datetime.fromisoformat(moved["at"]) + datetime.timedelta(days=soak_days)
    if now < end:
        message = (
            f"{name}: its soak ends at {end:%Y-%m-%d %H:%M} UTC (migrate.soak_days: {soak_days});"
            " until then its source is the way back"
        )
        raise RefusedError(message)


def retire(record: Record) -> None:
    """Give the way back up; the disks that its cutover found at the old host may be wiped."""
    if record.stage != "retired":
        mark = (record.last("cutover-began") or {}).get("mark", {})
        # files have another name behind their fence, and a disk can be several
        record.note("retired", disks=mark.get("left", mark.get("disks", [])))
