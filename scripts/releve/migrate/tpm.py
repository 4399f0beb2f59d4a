"""Carry a guest's TPM 2.0: without its state whatever was sealed in it is lost.

libvirt keeps the state as a file in a folder, Proxmox VE as the content of a volume. swtpm reads
and writes both; its own tool takes the state out of the one and puts it into the other, so
nothing here knows how the bytes are laid out.
"""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from releve.migrate.errors import MigrateError

if TYPE_CHECKING:
    from releve.migrate.sources.domain import Tpm
    from releve.ssh import Ssh

FOLDER = "/var/lib/libvirt/swtpm"  # one folder for each guest there, by its UUID
STATE = "tpm2/tpm2-00.permall"
VERSION = "2.0"
SIZES = range(1, 1 << 20)  # bytes; a real one has some thousands
# The first save may lack what a TPM settles at its next start, so the settled one is compared.
_WRITE = """\
set -eu
umask 077
work=/run/releve/{run}/tpm
rm -rf "$work"
mkdir -p "$work/sent" "$work/settled"
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
base64 -d > "$work/sent/tpm2-00.permall"
# Let a TPM on $2 (socket $1) do the rest of the words one after the other, and end it.
with() {{
  name=$1 place=$2
  shift 2
  swtpm socket --tpm2 --tpmstate "$place,mode=0600" \\
    --ctrl "type=unixio,path=$work/$name,mode=0600" >&2 &
  pid=$!
  i=0
  until [ -S "$work/$name" ]; do
    [ $i -lt 250 ] || {{ echo 'swtpm does not begin' >&2; exit 1; }}
    i=$((i + 1))
    sleep 0.02
  done
  for word in "$@"; do
    swtpm_ioctl --unix "$work/$name" $word >&2
  done
  swtpm_ioctl --unix "$work/$name" -s >&2
  wait "$pid"
  pid=
}}
volume="backend-uri=file://"{path}
with first "dir=$work/sent" -i "--save permanent $work/first.state"
with second "dir=$work/settled" "--load permanent $work/first.state" -i
with third "dir=$work/settled" -i "--save permanent $work/settled.state"
with fourth "$volume" "--load permanent $work/settled.state" -i
with fifth "$volume" -i "--save permanent $work/found.state"
cmp "$work/settled.state" "$work/found.state" >&2
sha256sum < "$work/found.state" | cut -d ' ' -f 1
"""


@runtime_checkable
class WithTpm(Protocol):
    """A source that can tell the state of a guest's TPM."""

    def tpm(self) -> bytes | None:
        """Return the state of the TPM of the guest, which is off; None for one without."""


def carried(tpm: Tpm | None) -> bool:
    """Say whether a libvirt guest's TPM can be carried: an emulated 2.0 at its usual place.

    An encrypted one, and one of the host's own hardware, block a guest before.
    """
    return tpm is not None and tpm.version == VERSION and tpm.state is None


def read(host: Ssh, uuid: str) -> bytes:
    """Return a libvirt guest's state, as swtpm has it; raises MigrateError for an odd one."""
    path = f"{FOLDER}/{uuid}/{STATE}"
    state = base64.b64decode(host.run(f"base64 {shlex.quote(path)}").stdout)
    if len(state) not in SIZES:
        message = f"{host.host}: {path}: {len(state)} bytes are no state of a TPM"
        raise MigrateError(message)
    return state


def carry(state: bytes, node: Ssh, target: str, run: str) -> str:
    """Put the state into a volume, read it back, and return its SHA-256 in hex.

    The guest must be off. Raises CommandError with what swtpm says.
    """
    line = _WRITE.format(run=run, path=shlex.quote(target))
    return node.run(line, stdin=base64.encodebytes(state).decode(), timeout=120).stdout.strip()
