"""Find who else starts guests on this host: a watchdog that takes a shed guest for a dead one.

A service or a cron job that starts whatever is silent works against a shutdown in tiers and ahead
of the boot order. It is found by what it would run: the files of units that are enabled and of
cron, and the scripts that they name. Standard library only; nothing is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.tasks import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNITS = "etc/systemd/system"
CRON = ("etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "var/spool/cron/crontabs")
OURS = "releve-"
_LARGEST = 200_000  # bytes; a larger one is no script
_STARTS = re.compile(
    r"""
    \b(?:qm|pct)\s+(?:start|reset|reboot|resume)\b
    | \bpvesh\s+create\s+\S*/status/(?:start|reset|reboot|resume)
    | \bpvesh\s+create\s+\S*/startall
    | \b(?:virsh|lxc-)\s*start\b
    """,
    re.VERBOSE,
)
_PROGRAM = re.compile(r"(?<![\w.-])/(?:[\w.+@-]+/)*[\w.+@-]+")


@dataclass(frozen=True, slots=True)
class Starter:
    """Where it is begun, in which file it starts guests, and on which line."""

    begun_by: str
    file: str
    line: int


def starters(root: Path) -> tuple[Starter, ...]:
    """Return who starts guests, each once; `root` is / or a copy of it."""
    found = [hit for file in (*_units(root), *_cron(root)) for hit in _looked_through(root, file)]
    return tuple(dict.fromkeys(found))


def _units(root: Path) -> Iterator[Path]:
    """Yield the services that something enables: themselves, or their timer or path."""
    folder = root / UNITS
    wanted = {link.name.rpartition(".")[0] for link in folder.glob("*.wants/*")}
    for file in sorted(folder.glob("*.service")):
        stem = file.stem.partition("@")[0]
        mine = file.name.startswith(OURS)
        if file.is_file() and not mine and any(one.partition("@")[0] == stem for one in wanted):
            yield file


def _cron(root: Path) -> Iterator[Path]:
    if (root / "etc/crontab").is_file():
        yield root / "etc/crontab"
    for place in CRON:
        if (root / place).is_dir():
            yield from sorted(one for one in (root / place).iterdir() if one.is_file())


def _looked_through(root: Path, file: Path) -> Iterator[Starter]:
    """Yield the lines that start guests: of the file itself, and of the scripts that it names."""
    begun = f"/{file.relative_to(root)}"
    text = _code(read(file))
    yield from (Starter(begun, begun, line) for line in _hits(text))
    for name in sorted({one.group() for one in _PROGRAM.finditer(text)}):
        script = root / name.removeprefix("/")
        if script.is_file() and script.stat().st_size < _LARGEST and script != file:
            yield from (Starter(begun, name, line) for line in _hits(_code(read(script))))


def _hits(text: str) -> Iterator[int]:
    return (number for number, line in enumerate(text.splitlines(), 1) if _STARTS.search(line))


def _code(text: str) -> str:
    """Blank comments out, so that lines keep their numbers."""
    lines = ("" if line.lstrip().startswith(("#", ";")) else line for line in text.split("\n"))
    return "\n".join(lines)
