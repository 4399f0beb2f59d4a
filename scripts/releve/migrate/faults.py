"""Faults that a lab run injects by RELEVE_FAULT, to show that each is seen.

* `target-byte-flipped`: one byte of the target changes after the seed; the check
  `target-equals-manifest` must fail, before the guest is stopped.
* `source-started-again`: the fenced guest is defined and started at its source; the check
  `source-fenced` must fail, and the target must not start.
* `kill-after-EVENT`: the controller dies by SIGKILL when its journal has that event, such as
  `guest-off`: then libvirtd is held, and it and the guest must come back by themselves.
* `health-gate-shut`: a gate of the started guest stays shut; the tool must say what a rollback
  gives up, ask, and roll back.
"""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.migrate.sources.base import Mark, Source
    from releve.ssh import Ssh

LAB = Path("build/lab")
FLIP_OFFSET = 8 << 20  # inside the lab guest's kernel, which it does not write


def present(name: str) -> bool:
    """Say whether this fault is asked for; never true where there is no lab."""
    return os.environ.get("RELEVE_FAULT") == name and LAB.is_dir()


def flip_target_byte(node: Ssh, paths: Iterable[str]) -> None:
    """`target-byte-flipped`."""
    if not present("target-byte-flipped"):
        return
    path = shlex.quote(next(iter(paths)))
    node.run(
        f"byte=$(od -An -tu1 -j {FLIP_OFFSET} -N 1 {path} | tr -d ' ');"
        f' printf "\\\\$(printf %o $((byte ^ 1)))" |'
        f" dd of={path} bs=1 seek={FLIP_OFFSET} conv=notrunc,fsync status=none"
    )


def start_source_again(source: Source, mark: Mark) -> None:
    """`source-started-again`."""
    if present("source-started-again"):
        source.unfence(mark)
        source.start()


def die_after(event: str) -> None:
    """`kill-after-EVENT`."""
    if present(f"kill-after-{event}"):
        os.kill(os.getpid(), signal.SIGKILL)
