"""Whether image files rest: what their host says of them, and who has them open for writing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.ssh import Ssh

# `ls -l` of a descriptor shows how it is open: `lrwx` and `l-wx` for those that may write
_WRITERS = """\
[ -d /proc/self/fd ] || exit 0
ls -l /proc/[0-9]*/fd 2>/dev/null |
  awk '/^\\/proc\\// {{ where = $0 }} /^l.w/ {{ print where " " $0 }}' | grep -F {patterns}
exit 0
"""


@dataclass(frozen=True, slots=True)
class FilesState:
    """`files`: each file with its size and time of change; `writers`: who may write to it."""

    files: tuple[tuple[str, str], ...]
    writers: tuple[str, ...]

    def changed(self, other: FilesState) -> str:
        """Return the first file that is not as in `other`, "" for none."""
        before = dict(other.files)
        return next((file for file, said in self.files if before.get(file) != said), "")


def state_of(ssh: Ssh, files: Sequence[str]) -> FilesState:
    """Return how files are now; raises ImageError for one that is not there."""
    line = f"stat -L -c '%s %y' {' '.join(map(shlex.quote, files))}"
    said = ssh.run(line, check=False)
    if said.returncode:
        why = said.stderr.strip().rpartition("\n")[2]
        message = f"{ssh.host}: {why or line}; is everything of the image there?"
        raise ImageError(message)
    states = tuple(zip(files, said.stdout.splitlines(), strict=True))
    return FilesState(states, _writers(ssh, files))


def _writers(ssh: Ssh, files: Sequence[str]) -> tuple[str, ...]:
    names = " ".join(map(shlex.quote, files))
    real = ssh.run(f'for f in {names}; do readlink -f "$f"; done').stdout.splitlines()
    patterns = " ".join(f"-e {shlex.quote(f' -> {file}')}" for file in real)
    opened = ssh.run(_WRITERS.format(patterns=patterns)).stdout
    found = []
    for line in opened.splitlines():
        where, _arrow, file = line.partition(" -> ")
        if file in real:
            found.append(f"process {where.split('/')[2]} writes to {file}")
    return tuple(dict.fromkeys(found))
