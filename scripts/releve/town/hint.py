"""The nearest right word for a wrong one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Fault = tuple[tuple[str | int, ...], str]


def hint(word: str, known: list[str]) -> str:
    """Return `; did you mean "x"?`, or the choices when nothing is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def refer(
    where: tuple[str | int, ...], name: str, section: str, known: Iterable[str]
) -> Iterator[Fault]:
    """Yield a fault when a section has no entry of that name."""
    if name not in known:
        yield where, f'{section} has no "{name}"{hint(name, list(known))}'
