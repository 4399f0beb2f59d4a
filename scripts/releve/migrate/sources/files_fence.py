"""The fence around image files: the newest layer of each disk has another name while it stands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from releve.migrate.images import ova

if TYPE_CHECKING:
    from collections.abc import Sequence

FENCE = "moved-by-releve."


def fenced(file: str) -> str:
    """Return the name that a file, or an archive with a member, has while its guest is fenced."""
    archive = ova.split(file)
    if archive:
        return f"{fenced(archive[0])}/{archive[1]}"
    folder, _slash, name = file.rpartition("/")
    return f"{folder}/{FENCE}{name}"


def renames(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the shell line that gives files other names; what has its name already is no fault."""
    lines = ["set -e"]
    for old, new in pairs:
        a, b = shlex.quote(old), shlex.quote(new)
        lines.append(f"if [ -e {b} ]; then [ ! -e {a} ]; else mv -- {a} {b}; fi")
    folders = dict.fromkeys(shlex.quote(new.rpartition("/")[0]) for _old, new in pairs)
    return "\n".join([*lines, *(f"sync {folder} 2>/dev/null || sync" for folder in folders)])
