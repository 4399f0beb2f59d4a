"""How PVE says no: an HTTP status, a message that ends in a newline, and errors by parameter."""

from __future__ import annotations

MISSING = "property is missing and it is not optional"
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"


class Refusal(Exception):  # noqa: N818  # a refusal is a normal answer, not a fault of the double
    """An answer other than 200; `message` is without its final newline."""

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        """Keep what the client will be told."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


def bad(errors: dict[str, str]) -> Refusal:
    """Return the refusal of wrong parameters, all named at once."""
    return Refusal(400, "Parameter verification failed.", errors)


def fault(message: str) -> Refusal:
    """Return what PVE answers when its code dies: status 500 with the text."""
    return Refusal(500, message)


def denied(path: str = "", *privileges: str, every: bool = False) -> Refusal:
    """Return the refusal of a right; without a path PVE does not say which right was missing."""
    if not path:
        return Refusal(403, "Permission check failed")
    joined = (", " if every else "|").join(privileges)
    return Refusal(403, f"Permission check failed ({path}, {joined})")
