"""Run a program on a node: a list of words, a time limit, one sentence when it fails."""

from __future__ import annotations

import subprocess


class ProgramError(Exception):
    """A program is missing, took too long or failed; the message is one sentence."""


def run(argv: list[str], *, seconds: float) -> str:
    """Return what the program printed; raises ProgramError."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError as error:
        message = f"{argv[0]}: no such program"
        raise ProgramError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(argv)[:120]}: no end after {seconds:g} s"
        raise ProgramError(message) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        message = f"{' '.join(argv)[:120]}: exit {done.returncode}: {said[:300]}"
        raise ProgramError(message)
    return done.stdout
