"""API tokens on the controller: one file for each, readable by its owner alone.

PVE tells a token's secret once, when the token is made; it is kept in
`<town folder>/.tokens/<host>/<user!token>`, mode 0600, which git ignores.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from releve.town import Town

MIGRATE = "releve@pve!migrate"
TOKEN_ID = re.compile(r"[^\s:/!@]+@[A-Za-z][\w.-]+![A-Za-z][\w.-]+")
OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Token:
    """A token `user@realm!name` and its secret, which no repr shows."""

    id: str
    secret: str = field(repr=False)


def token_file(folder: Path, host: str, token_id: str) -> Path:
    """Return where a town's folder keeps a token's secret; raises InputError on a wrong id."""
    if not TOKEN_ID.fullmatch(token_id):
        message = f'"{token_id}" is no token; it is written user@realm!name'
        raise InputError(message)
    return folder / ".tokens" / host / token_id


def load_token(town: Town, host: str, token_id: str) -> Token:
    """Return a token with its secret; raises InputError when there is none, or others see it."""
    file = token_file(town.folder, host, token_id)
    if not file.exists():
        message = f"{file}: no secret of token {token_id} on {host}; run playbooks/provision.yml"
        raise InputError(message)
    if file.stat().st_mode & OTHERS:
        message = f"{file}: others may read this secret; say chmod 600 and make a new token"
        raise InputError(message)
    return Token(token_id, file.read_text(encoding="utf-8").strip())


def save_token(folder: Path, host: str, token: Token) -> Path:
    """Write a token's secret, mode 0600 from its first byte on, and return the file."""
    file = token_file(folder, host, token.id)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{token.secret}\n")
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
    return file
