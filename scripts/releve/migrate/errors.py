"""What can stop a migration; each says whether the guest still works at the source."""

from __future__ import annotations

from releve.errors import LaterError, RefusedError, ReleveError


class MigrateError(ReleveError):
    """A stage failed; the source goes on, or was started again."""


class WorkerError(MigrateError):
    """The worker on the node failed or was killed; `kind` is its word for why."""

    def __init__(self, message: str, kind: str) -> None:
        """Keep the sentence and the worker's word (`killed` when it could not say one)."""
        super().__init__(message)
        self.kind = kind


class PowerButtonError(MigrateError):
    """`guest-ignores-power-button`: the guest did not stop in time; it goes on at the source."""


class GateError(MigrateError):
    """The guest works on its node, but not as it did at its source; the way back is open."""


class ForeignError(RefusedError):
    """Something there belongs to somebody else, or to another run."""


class BusyError(LaterError):
    """Another run for the same guest is under way."""


__all__ = [
    "BusyError",
    "ForeignError",
    "GateError",
    "MigrateError",
    "PowerButtonError",
    "WorkerError",
]
