"""Run programs: a list of words, a time limit, and an error that says what the program said."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from releve.errors import ReleveError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class CommandError(ReleveError):
    """A program could not be started, took too long or ended with another code than 0."""

    def __init__(self, argv: Sequence[str], reason: str, returncode: int | None = None) -> None:
        """Keep the words, what went wrong, and the exit code (None: never ended)."""
        super().__init__(f"{' '.join(argv)[:200]}: {reason}")
        self.reason = reason
        self.argv = tuple(argv)
        self.returncode = returncode


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `argv`, at most `timeout` seconds, and return what it printed.

    Raises CommandError when the program is missing, takes longer, or (with `check`) ends with
    another code than 0; secrets therefore go in by `stdin`, never in `argv`.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise CommandError(argv, "no such program") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(argv, f"no end after {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise CommandError(
            argv, f"exit {done.returncode}: {' | '.join(said[-4:])}", done.returncode
        )
    return done
