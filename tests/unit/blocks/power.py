"""What a disk may hold after a power cut, from the system calls that a worker really made.

A write counts as durable once a later fsync of its file has returned that began after the write
had returned. All others may be lost, each sector by itself, in any combination: later ones may
have reached the disk and earlier ones not.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

SECTOR = 512
CALLS = "write,pwrite64,fallocate,fsync,fdatasync"
_LINE = re.compile(r"(?P<thread>\d+) +(?P<rest>.*)")
_CALL = re.compile(
    r"(?P<name>\w+)\(\d+<(?P<path>[^>]*)>(?:\(deleted\))?(?:, (?P<more>.*?))?\)?"
    r" *(?:= (?P<result>-?\d+).*)?$"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One change of a file, or (data None) a sync of it; `begun` and `ended` are places in time."""

    file: str
    begun: int
    ended: int
    offset: int = 0
    data: bytes | None = None


@dataclass(slots=True)
class Disk:
    """The bytes of some files, by name."""

    files: dict[str, bytearray] = field(default_factory=dict)

    def change(self, call: Call, sectors: set[int] | None = None) -> None:
        """Apply a write, or only those of its sectors that are named."""
        assert call.data is not None
        content = self.files[call.file]
        end = call.offset + len(call.data)
        content.extend(bytes(max(0, end - len(content))))
        for sector in range(call.offset // SECTOR, -(-end // SECTOR)):
            if sectors is None or sector in sectors:
                start, stop = max(call.offset, sector * SECTOR), min(end, (sector + 1) * SECTOR)
                content[start:stop] = call.data[start - call.offset : stop - call.offset]

    def copy(self) -> Disk:
        """Return another disk that holds the same."""
        return Disk({name: bytearray(content) for name, content in self.files.items()})


def trace(argv: list[str], log: Path) -> None:
    """Run a program to its end; keep its writes and syncs, with all bytes."""
    options = ["-f", "-y", "-xx", "-s", str(1 << 23), "--signal=none", "--quiet=all"]
    program = ["strace", *options, f"--trace={CALLS}", f"--output={log}", *argv]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, timeout=120)


def calls(log: Path, files: dict[str, Path], before: Disk) -> Iterator[Call]:
    """Yield the calls of a trace on some files, in the order in which they ended."""
    names = {str(path): name for name, path in files.items()}
    ends = {name: len(content) for name, content in before.files.items()}  # where one appends
    open_calls: dict[str, tuple[int, str]] = {}
    for moment, line in enumerate(log.read_text().splitlines()):
        found = _LINE.match(line)
        assert found, line[:200]
        thread, rest = found["thread"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = moment, rest.removesuffix("<unfinished ...>").rstrip()
            continue
        begun = moment
        if rest.startswith("<... "):
            begun, first = open_calls.pop(thread)
            rest = first + rest.partition("resumed>")[2]
        one = _parsed(rest, begun, moment, names, ends)
        if one:
            yield one


def _parsed(
    text: str, begun: int, ended: int, names: dict[str, str], ends: dict[str, int]
) -> Call | None:
    found = _CALL.match(text)
    assert found, text[:200]
    file = names.get(_bytes(found["path"]).decode())
    if file is None:
        return None
    assert int(found["result"] or -1) >= 0, text[:200]
    more = (found["more"] or "").split(", ")
    if found["name"] in {"fsync", "fdatasync"}:
        return Call(file, begun, ended)
    if found["name"] == "fallocate":
        return Call(file, begun, ended, int(more[1]), bytes(int(more[2])))
    data = _bytes(more[0].strip('"'))
    assert len(data) == int(found["result"]), "a write was cut short in the trace, or in the world"
    if found["name"] == "pwrite64":
        return Call(file, begun, ended, int(more[2]), data)
    offset = ends[file]
    ends[file] += len(data)
    return Call(file, begun, ended, offset, data)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def cuts(before: Disk, made: list[Call], chance: random.Random, ways: int) -> Iterator[Disk]:
    """Yield what a disk may hold after a power cut, after each call.

    Of what is not durable nothing survives, all of it, and `ways` choices of sectors.
    """
    durable = before.copy()
    loose: list[Call] = []
    for call in made:
        if call.data is None:
            kept = []
            for one in loose:
                if one.file == call.file and one.ended < call.begun:
                    durable.change(one)
                else:
                    kept.append(one)
            loose = kept
        else:
            loose.append(call)
        yield durable.copy()
        for way in range(ways + 1) if loose else ():
            disk = durable.copy()
            for one in loose:
                disk.change(one, _survive(one, chance) if way else None)
            yield disk


def _survive(call: Call, chance: random.Random) -> set[int]:
    """Return the sectors of a write that reached the disk: none, all, or some."""
    assert call.data is not None
    first, end = call.offset // SECTOR, -(-(call.offset + len(call.data)) // SECTOR)
    share = chance.choice((0.0, 0.5, 1.0))
    return {sector for sector in range(first, end) if chance.random() < share}
