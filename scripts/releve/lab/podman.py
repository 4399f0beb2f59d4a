"""Podman as the lab needs it: stock runc, images of our own, root's own storage."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from releve.command import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

# runc: crun refuses to start while the machine's cgroup2 tree still holds `hugetlb`.
PROGRAM = ("podman", "--runtime", "runc")
ENVIRONMENT = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


def podman(
    *words: str, timeout: float = 120, check: bool = True, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one podman command; raises CommandError as `command.run` does."""
    return run(
        [*PROGRAM, *words],
        timeout=timeout,
        check=check,
        stdin=stdin,
        env={**os.environ, **ENVIRONMENT},
    )


def image_exists(reference: str) -> bool:
    """Say whether podman has the image."""
    return podman("image", "exists", reference, check=False).returncode == 0


def containers(prefix: str) -> list[str]:
    """Return the names of all containers, running or not, that begin with `prefix`."""
    names = podman("ps", "--all", "--external", "--format", "{{.Names}}").stdout.split()
    return sorted(name for name in names if name.startswith(prefix))


def remove(container: str) -> None:
    """Remove a container in whatever state it is; nothing happens when there is none."""
    words = ("rm", "--force", "--ignore", "--time", "0", container)
    # Where a container's monitor was killed, podman learns only at the first try that its
    # container has ended, fails, and succeeds at the next one.
    if podman(*words, check=False).returncode != 0:
        podman(*words)


def execute(
    container: str,
    argv: Sequence[str],
    *,
    timeout: float = 60,
    check: bool = True,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program inside a container, as its root."""
    flags = ["-i"] if stdin is not None else []
    return podman("exec", *flags, container, *argv, timeout=timeout, check=check, stdin=stdin)


@contextlib.contextmanager
def files_of(container: str) -> Iterator[Path]:
    """Give the file tree of a container that does not run, as a folder of this machine."""
    folder = Path(podman("mount", container).stdout.strip())
    try:
        yield folder
    finally:
        podman("umount", container)
