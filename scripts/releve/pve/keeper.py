"""Keep tokens' secrets in the town's folder, and try whether PVE still takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.pve.client import Address, Pve, PveError
from releve.pve.tokens import Token, save_token, token_file

if TYPE_CHECKING:
    from pathlib import Path

NOT_ACCEPTED = 401


@dataclass(frozen=True, slots=True)
class Keeper:
    """The tokens of one host; `folder` is that of the town file."""

    address: Address
    folder: Path

    def works(self, token_id: str) -> bool:
        """Say whether the secret is there and PVE accepts it."""
        file = token_file(self.folder, self.address.name, token_id)
        if not file.exists():
            return False
        token = Token(token_id, file.read_text(encoding="utf-8").strip())
        try:
            Pve.with_token(self.address, token).get("/version")
        except PveError as error:
            if error.status == NOT_ACCEPTED:
                return False
            raise
        return True

    def keep(self, token_id: str, secret: str) -> None:
        """Write a secret that PVE has just told."""
        save_token(self.folder, self.address.name, Token(token_id, secret))
