"""Who stands at the UPS in level 4: a person at a terminal, or the lab's own mains."""

from __future__ import annotations

import select
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.drills.mains import Mains

BELL = "\a"


class Terminal:
    """A person who reads a terminal and presses the Enter key."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Write by `tell`; raises RefusedError when nobody is there to answer."""
        if not sys.stdin.isatty():
            message = "level 4 needs a person: call it from a terminal, without a pipe"
            raise RefusedError(message)
        self._tell = tell
        self._asked = False

    def read(self, lines: tuple[str, ...]) -> None:
        """Show a text."""
        for line in lines:
            self._tell(line)

    def out(self) -> bool:
        """Ask once, and look whether the Enter key was pressed."""
        if not self._asked:
            self._asked = True
            self._tell("Pull the plug of the UPS now, and press Enter as soon as it is out.")
        return self._entered()

    def shout(self, line: str) -> None:
        """Beep, and write across the screen."""
        self._tell(f"{BELL}\n    *** {line} ***\n    *** and press Enter when it is in ***\n")

    def back(self) -> bool:
        """Look whether the Enter key was pressed."""
        return self._entered()

    @staticmethod
    def _entered() -> bool:
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        return bool(ready) and sys.stdin.readline() != ""


@dataclass(slots=True)
class LabPerson:
    """The lab's mains, who do as they are asked."""

    mains: Mains
    tell: Callable[[str], None]
    put_back: bool = False

    def read(self, lines: tuple[str, ...]) -> None:
        """Show a text."""
        for line in lines:
            self.tell(line)

    def out(self) -> bool:
        """Take the mains."""
        self.mains.switch(on=False)
        return True

    def shout(self, line: str) -> None:
        """Give the mains, once."""
        self.tell(line)
        if not self.put_back:
            self.put_back = True
            self.mains.switch(on=True)

    def back(self) -> bool:
        """Say whether they were given."""
        return self.put_back
