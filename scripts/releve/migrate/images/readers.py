"""Read bytes of image files: on this machine, or on a host that has only `dd` and a shell."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from releve.migrate.images.model import SECTOR, ImageError

if TYPE_CHECKING:
    from releve.ssh import Ssh

READ_SECONDS = 60
_STAT = """\
f={file}
[ -e "$f" ] || {{ echo none; exit 0; }}
if [ -b "$f" ]; then
  d=$(readlink -f "$f")
  if [ -r "/sys/class/block/${{d##*/}}/size" ]; then
    read -r n < "/sys/class/block/${{d##*/}}/size"
    echo "device $((n * 512))"
  else
    echo "device $(blockdev --getsize64 "$f")"
  fi
else
  echo "file $(stat -L -c %s "$f")"
fi
"""


class LocalReader:
    """Files of this machine."""

    def read(self, file: str, offset: int, length: int) -> bytes:
        """See `Reader`."""
        try:
            with Path(file).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except OSError as error:
            message = f"{file}: {error.strerror}"
            raise ImageError(message) from error

    def size(self, file: str) -> int:
        """See `Reader`."""
        try:
            with Path(file).open("rb") as stream:
                return stream.seek(0, os.SEEK_END)
        except OSError as error:
            message = f"{file}: {error.strerror}"
            raise ImageError(message) from error

    def device(self, file: str) -> bool:
        """See `Reader`."""
        return self.exists(file) and stat.S_ISBLK(Path(file).stat().st_mode)

    def exists(self, file: str) -> bool:
        """See `Reader`."""
        return Path(file).exists()


class SshReader:
    """Files of a host reached by ssh; what was asked once is not asked again."""

    def __init__(self, ssh: Ssh) -> None:
        """`ssh` is the way to the host."""
        self._ssh = ssh
        self._stats: dict[str, tuple[str, int]] = {}
        self._seen: dict[tuple[str, int, int], bytes] = {}

    def read(self, file: str, offset: int, length: int) -> bytes:
        """See `Reader`; reads whole sectors, since devices know no other."""
        if length <= 0:
            return b""
        key = (file, offset, length)
        if key not in self._seen:
            first, before = offset // SECTOR, offset % SECTOR
            count = -(-(before + length) // SECTOR)
            line = f"dd if={shlex.quote(file)} bs={SECTOR} skip={first} count={count} 2>/dev/null"
            self._seen[key] = self._run(file, line)[before : before + length]
        return self._seen[key]

    def size(self, file: str) -> int:
        """See `Reader`."""
        kind, size = self._stat(file)
        if kind == "none":
            message = (
                f"{self._ssh.host}: {file}: there is no such file; correct its name in the town"
                " file, or mount there what holds it"
            )
            raise ImageError(message)
        return size

    def device(self, file: str) -> bool:
        """See `Reader`."""
        return self._stat(file)[0] == "device"

    def exists(self, file: str) -> bool:
        """See `Reader`."""
        return self._stat(file)[0] != "none"

    def _stat(self, file: str) -> tuple[str, int]:
        if file not in self._stats:
            said = self._run(file, _STAT.format(file=shlex.quote(file))).decode().split()
            self._stats[file] = (said[0], int(said[1]) if len(said) > 1 else 0)
        return self._stats[file]

    def _run(self, file: str, line: str) -> bytes:
        argv = self._ssh.argv(line)
        done = subprocess.run(argv, capture_output=True, timeout=READ_SECONDS, check=False)
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            message = (
                f"{self._ssh.host}: {file}: cannot be read ({why or 'dd fails'}); is it in use?"
            )
            raise ImageError(message)
        return done.stdout
