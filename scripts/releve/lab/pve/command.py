"""Run a program of the host; its failure is told as PVE tells it."""

from __future__ import annotations

import subprocess

from .refusal import fault


def run(argv: list[str], seconds: float = 30) -> str:
    """Return what the program printed, or refuse with what it said."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise fault(f"command '{' '.join(argv)[:200]}' failed: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise fault(f"command '{argv[0]}' failed: exit code {done.returncode}: {said[-1]}")
    return done.stdout
