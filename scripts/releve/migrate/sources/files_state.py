"""Whether image files rest: what their host says of them, and who has them open for writing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.ssh import Ssh

# A device has no time of change; the kernel counts what was written to it since the host started.
_STATE = """\
for f in {names}; do
  if [ ! -b "$f" ]; then
    stat -L -c '%s %y' "$f" || exit 1
    continue
  fi
  d=$(readlink -f "$f")
  n=$(printf %s "${{d#/dev/}}" | tr / '!')
  set -- $(cat "/sys/class/block/$n/stat" 2>/dev/null)
  echo "device, written ${{5:-?}} times, ${{7:-?}} sectors"
done
"""
# Who may write to a device without an open descriptor: what lies on it, a mount, Xen's kernel.
_HOLDERS = """\
for f in {names}; do
  [ -b "$f" ] || continue
  d=$(readlink -f "$f")
  n=$(printf %s "${{d#/dev/}}" | tr / '!')
  for h in "/sys/class/block/$n/holders/"*; do
    [ ! -e "$h" ] || echo "$(basename "$h") lies on $f"
  done
  while read -r what where rest; do
    [ "$(readlink -f "$what")" != "$d" ] || echo "$f is mounted at $where"
  done < /proc/mounts
  m=$(stat -L -c %t:%T "$f")
  if grep -qsx "$m" /sys/bus/xen-backend/devices/*/physical_device; then
    echo "a guest of Xen has $f"
  fi
done
"""
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
    names = " ".join(map(shlex.quote, files))
    said = ssh.run(_STATE.format(names=names), check=False)
    if said.returncode:
        why = said.stderr.strip().rpartition("\n")[2]
        message = f"{ssh.host}: {why or names}; is everything of the image there?"
        raise ImageError(message)
    states = tuple(zip(files, said.stdout.splitlines(), strict=True))
    if dark := [file for file, state in states if "?" in state]:
        message = (
            f"{ssh.host}: {dark[0]}: nothing there tells whether that device is written to; copy it"
            " into a file (`dd`)"
        )
        raise ImageError(message)
    holders = ssh.run(_HOLDERS.format(names=names)).stdout.splitlines()
    return FilesState(states, (*_writers(ssh, files), *holders))


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
