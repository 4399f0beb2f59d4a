"""Carry a guest's EFI variables: without its boot entries many a guest does not find its system."""

from __future__ import annotations

import base64
import hashlib
import shlex
from typing import TYPE_CHECKING

from releve.migrate.errors import MigrateError

if TYPE_CHECKING:
    from releve.ssh import Ssh

_WRITE = """\
set -e
base64 -d > /run/releve/{run}/vars
[ "$(stat -c %s /run/releve/{run}/vars)" = "$(stat -c %s {path})" ] || {{
  echo "it has another size than {path}" >&2
  exit 1
}}
dd if=/run/releve/{run}/vars of={path} bs=64k conv=notrunc,fsync status=none
rm /run/releve/{run}/vars
sha256sum < {path} | cut -d ' ' -f 1
"""


def carry(variables: bytes, node: Ssh, target: str, run: str) -> str:
    """Write the variables, read them back, and return their SHA-256 in hex.

    The guest must be off. Raises MigrateError when the bytes read back are others.
    """
    text = base64.encodebytes(variables).decode()
    wanted = hashlib.sha256(variables).hexdigest()
    found = node.run(_WRITE.format(run=run, path=shlex.quote(target)), stdin=text).stdout.strip()
    if found != wanted:
        message = f"{node.host}: {target}: its bytes are not those of the guest's EFI variables"
        raise MigrateError(message)
    return found
