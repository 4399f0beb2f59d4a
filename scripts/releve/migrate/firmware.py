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


def carry(old: Ssh, node: Ssh, source: str, target: str, run: str) -> str:
    """Copy the variables, read them back, and return their SHA-256 in hex.

    The guest must be off. Raises MigrateError when the bytes read back are not those of `source`.
    """
    text = old.run(f"base64 {shlex.quote(source)}").stdout
    wanted = hashlib.sha256(base64.b64decode(text)).hexdigest()
    found = node.run(_WRITE.format(run=run, path=shlex.quote(target)), stdin=text).stdout.strip()
    if found != wanted:
        message = f"{node.host}: {target}: its bytes are not those of {source} on {old.host}"
        raise MigrateError(message)
    return found
