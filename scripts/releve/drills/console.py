"""Root at a host's own console: in the lab, where no person sits, through the container's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from releve.errors import InputError
from releve.lab.topology import Lab

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECONDS = 600


@dataclass(frozen=True, slots=True)
class LabConsole:
    """The console of one host of a lab."""

    lab: Lab
    host: str

    @classmethod
    def of(cls, state: Path, host: str) -> Self:
        """Return the console of `host` in the lab of this state folder (`build/lab`).

        Raises InputError when that lab has no such host running.
        """
        lab = Lab.of(state.resolve().parents[1])
        if lab.state != state.resolve() or not lab.running(host):
            message = f"{state}: no lab with a running {host}; bring it up with: scripts/lab up"
            raise InputError(message)
        return cls(lab, host)

    def run(self, argv: Sequence[str], *, check: bool = True) -> tuple[int, str]:
        """Run a program there; return its exit code and what it printed."""
        done = self.lab.console(self.host, argv, timeout=SECONDS, check=check)
        return done.returncode, done.stdout + ("" if check else done.stderr)
