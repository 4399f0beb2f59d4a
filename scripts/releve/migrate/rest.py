"""Serve the disks of a guest that is off, read-only, by a `qemu-nbd` for each at its old host."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.command import CommandError
from releve.migrate.errors import MigrateError

if TYPE_CHECKING:
    from releve.ssh import Ssh

READERS = 8  # connections at once; the worker has four
_SERVE = """\
set -e
install -d -m 0711 /run/releve
install -d -m 0700 {folder}
"""
_SERVE_ONE = """\
rm -f {socket}
qemu-nbd --fork --persistent --shared={readers} --read-only --cache=none --format={format} \\
  --export-name={name} --pid-file={pid} --socket={socket} {file}
"""
_END = """\
for file in {folder}/*.pid; do
  [ -s "$file" ] || continue
  pid=$(cat "$file")
  if tr '\\0' '\\n' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF {folder}/; then
    kill "$pid"
    i=0
    # one that has ended and was not yet waited for has no words
    while [ -n "$(tr -d '\\0' 2>/dev/null < "/proc/$pid/cmdline")" ] && [ $i -lt 100 ]; do
      i=$((i + 1))
      sleep 0.1
    done
  fi
  rm -f "$file"
done
"""


@dataclass(frozen=True, slots=True)
class Rest:
    """Disks (`name`, `format`, `file`) of one guest, served below one run's folder in /run."""

    ssh: Ssh
    folder: str
    disks: tuple[dict[str, str], ...] = ()

    @property
    def sockets(self) -> tuple[str, ...]:
        """The names of the sockets in the folder."""
        return tuple(self.socket(disk["name"]) for disk in self.disks)

    @staticmethod
    def socket(disk: str) -> str:
        """Return the name of one disk's socket."""
        return f"rest-{disk}.sock"

    def serve(self) -> None:
        """Serve all disks, in place of what an earlier run left; raises MigrateError."""
        self.end()
        lines = [_SERVE.format(folder=shlex.quote(self.folder))]
        for disk in self.disks:
            name, place = disk["name"], f"{self.folder}/{self.socket(disk['name'])}"
            lines.append(
                _SERVE_ONE.format(
                    readers=READERS,
                    format=shlex.quote(disk["format"]),
                    name=shlex.quote(name),
                    pid=shlex.quote(f"{self.folder}/rest-{name}.pid"),
                    socket=shlex.quote(place),
                    file=shlex.quote(disk["file"]),
                )
            )
        try:
            self.ssh.run("".join(lines))
        except CommandError as error:
            message = f"{self.ssh.host}: the disks at rest cannot be read: {error}"
            raise MigrateError(message) from error

    def end(self) -> None:
        """End the servers of this run's folder, by their pid and name; none is no fault."""
        self.ssh.run(_END.format(folder=shlex.quote(self.folder)))
