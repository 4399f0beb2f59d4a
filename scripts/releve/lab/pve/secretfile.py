"""Secrets of API tokens, as the double keeps them: readable by root alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .place import read_json, write_json

if TYPE_CHECKING:
    from .place import Place


def token_secrets(place: Place) -> dict[str, str]:
    """Return token -> secret."""
    return {key: str(value) for key, value in read_json(place.secrets / "token.json", {}).items()}


def save_secret(place: Place, token: str, secret: str | None) -> None:
    """Keep the secret of a token, or (None) forget it."""
    content = token_secrets(place)
    content.pop(token, None)
    if secret is not None:
        content[token] = secret
    write_json(place.secrets / "token.json", content, 0o600)
