"""What can go wrong while blocks move; `kind` is a stable word for the caller of the worker."""


class BlocksError(Exception):
    """Base: the move stopped, and what the target holds is only what its manifest says."""

    kind = "failed"


class SourceError(BlocksError):
    """The NBD server died, refused, or answered less than it was asked for."""

    kind = "source"


class StallError(SourceError):
    """The NBD server sent nothing for too long."""

    kind = "stall"


class ContextError(SourceError):
    """The export does not offer the context: its bitmap is lost, or was never there."""

    kind = "context-missing"


class TargetError(BlocksError):
    """The volume cannot be opened, is too small, or refuses a write."""

    kind = "target"


class ManifestError(BlocksError):
    """The manifest is missing, damaged, or belongs to another disk, block size or run."""

    kind = "manifest"


class DifferenceError(BlocksError):
    """Bytes were read that are not those of the manifest."""

    kind = "difference"


class MonitorError(BlocksError):
    """QEMU's monitor refused a command, closed, or kept silent."""

    kind = "monitor"


class BusyError(BlocksError):
    """Another worker is at work on the same volume."""

    kind = "busy"
