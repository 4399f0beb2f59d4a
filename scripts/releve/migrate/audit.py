"""Read the whole source again, at rest, while the guest already works on its node.

The target was proved to hold what was read; this proves that what was read is what the source
holds: that no write was missed. It costs no downtime, and the way back stays open until it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.errors import MigrateError, WorkerError
from releve.migrate.proof import check_fence, mark_of

if TYPE_CHECKING:
    from releve.migrate.migration import Migration

CHECK = "source-equals-manifest"


def audit(migration: Migration) -> None:
    """Compare every block of the source, which is off, with the manifest.

    Raises MigrateError, with the way back, when they differ: then the guest works with wrong data.
    """
    record, source, name = migration.record, migration.source, migration.name
    migration.say(f"{name}: reading the whole source again; it works on {migration.node.host}")
    record.note("audit-began")
    source.at_rest(mark_of(migration))
    wrong, blocks, seals = "", 0, []
    for disk in dict(record.last("volumes") or {})["sizes"]:
        try:
            counts = migration.worker(disk).do(
                "audit", None, source=source.uri(disk), **migration.limit()
            )
        except WorkerError as error:
            if error.kind != "difference":
                raise
            wrong = wrong or str(error)
        else:
            blocks += counts["blocks"]
            seals.append(f"manifest of {disk}: sha256 {counts['manifest']}")
        finally:
            source.withdraw(disk)
    record.check(CHECK, not wrong, blocks, unit="blocks", note=wrong or "; ".join(seals))
    check_fence(migration)  # somebody who started it while it was read spoilt the comparison
    if wrong:
        record.note("distrusted", why=wrong)
        message = (
            f"{name}: {CHECK}: THE GUEST WORKS WITH WRONG DATA on {migration.node.host}: {wrong}."
            f" Go back now: `releve migrate rollback {name}`"
        )
        raise MigrateError(message)
    source.close()
    record.note("audited")
    migration.say(f"{name}: its source holds what was copied, to the last byte")
