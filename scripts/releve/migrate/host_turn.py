"""One at a time on an old host: while one guest's cutover holds libvirtd, others wait for it.

Guests are moved side by side, by threads of one run or by several runs; a file lock of the
workstation keeps their words to a host's libvirtd apart. It ends with its process.
"""

from __future__ import annotations

import fcntl
import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from releve.migrate.record import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

P = ParamSpec("P")
R = TypeVar("R")


class HostTurn:
    """The turn of one guest at one old host; it may be taken several times, and given as often."""

    def __init__(self, host: str, folder: Path = FOLDER) -> None:
        """`folder` is where this workstation keeps its migrations."""
        self._path = folder / f".{host}.turn"
        self._file: IO[str] | None = None
        self._count = 0

    def take(self) -> None:
        """Wait for the turn, unless it is ours already."""
        if not self._count:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._count += 1

    def give(self) -> None:
        """Let the next one."""
        self._count -= 1
        if not self._count and self._file is not None:
            self._file.close()
            self._file = None


class HasTurn(Protocol):
    """What `in_turn` decorates methods of."""

    _turn: HostTurn


T = TypeVar("T", bound=HasTurn)


def in_turn(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Let a method have the turn while it runs."""

    def taken(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self._turn.take()  # the decorator belongs to the class
        try:
            return method(self, *args, **kwargs)
        finally:
            self._turn.give()  # as above

    functools.update_wrapper(taken, method)
    return taken
