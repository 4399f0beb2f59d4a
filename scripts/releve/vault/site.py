"""What the site can say of its copies: asked of the senders, since it cannot see the vault."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.errors import InputError, ReleveError
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.town import Town

PROGRAM = "/usr/bin/python3 -I /usr/local/lib/releve/vault-send.pyz"
COPY_SECONDS = 12 * 3600
RESTORE_SECONDS = 12 * 3600


class CopyError(ReleveError):
    """A copy was not made, or did not come back; the sender's sentence says why."""


@dataclass(frozen=True, slots=True)
class SenderHost:
    """The sender on a node; what it prints is one JSON object."""

    ssh: Ssh

    @classmethod
    def of(cls, town: Town, node: str) -> SenderHost:
        """Return the sender of a node; raises InputError when it brings no copies."""
        if town.vault is None or node not in town.vault.senders:
            message = f"{town.file.name}: vault.senders: {node} brings no copies; add it there"
            raise InputError(message)
        return cls(Ssh.to(town, node))

    def copy(self, guest: str) -> dict[str, Any]:
        """Copy one guest, by the unit that also runs at night; raises CopyError."""
        unit, file = f"releve-copy@{guest}.service", f"/run/releve-copy.{guest}.json"
        line = f"rm -f {file}; systemctl start {unit}; test -s {file} && cat {file}"
        return self._ask(line, guest, COPY_SECONDS)

    def copies(self) -> dict[str, list[dict[str, Any]]]:
        """Return guest -> what the vault answered to each copy, oldest first."""
        copies: dict[str, list[dict[str, Any]]] = self._ask(f"{PROGRAM} list", "", 60)["copies"]
        return copies

    def peek(self) -> dict[str, Any]:
        """Return what the granted copy says of itself."""
        return self._ask(f"{PROGRAM} peek", "", 120)

    def fetch(self, targets: dict[str, str], number: int) -> dict[str, Any]:
        """Write the granted copy's disks into volumes (name -> path on the node)."""
        words = [f"{name}={path}" for name, path in targets.items()]
        line = f"{PROGRAM} fetch --number {number} {shlex.join(words)}"
        return self._ask(line, "", RESTORE_SECONDS)

    def _ask(self, line: str, guest: str, seconds: float) -> dict[str, Any]:
        done = self.ssh.run(line, timeout=seconds, check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            message = f"{self.ssh.host}: {guest or 'the sender'}: {said[:300]}"
            raise CopyError(message) from None
        if not answer.get("ok"):
            message = f"{self.ssh.host}: {guest or 'the sender'}: {answer.get('error')}"
            raise CopyError(message)
        words: dict[str, Any] = answer
        return words


def guests_to_copy(town: Town, names: Sequence[str]) -> list[str]:
    """Return the guests to copy: those named, or all whose node brings copies.

    Raises InputError for a name that is none.
    """
    if town.vault is None:
        message = f"{town.file.name}: vault: there is none, so nothing can be copied to it"
        raise InputError(message)
    able = [name for name, guest in town.guests.items() if guest.target in town.vault.senders]
    for name in names:
        if name not in able:
            message = f"{name} is no guest of a node that brings copies ({', '.join(able)})"
            raise InputError(message)
    return [name for name in able if not names or name in names]
