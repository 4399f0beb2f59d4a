"""Errors that a user can cause or mend; each is one sentence: where, what is wrong, what to do."""

import enum


class ExitCode(enum.IntEnum):
    """What a `releve` command says to its caller (docs/reference/exit-codes.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHANGES = 3
    CHECK_FAILED = 4
    REFUSED = 5
    LATER = 75


class ReleveError(Exception):
    """Base of every error that is printed as one line, without a traceback."""

    exit_code = ExitCode.FAILED


class InputError(ReleveError):
    """A file or an argument of the user is wrong; nothing was touched."""

    exit_code = ExitCode.USAGE


class CheckError(ReleveError):
    """The system is not as it must be (drift, warranty, register, a drill's check)."""

    exit_code = ExitCode.CHECK_FAILED


class RefusedError(ReleveError):
    """Going on could lose data or service; nothing was changed."""

    exit_code = ExitCode.REFUSED


class LaterError(ReleveError):
    """It cannot be done now and may work later (a lock, a host on battery)."""

    exit_code = ExitCode.LATER
