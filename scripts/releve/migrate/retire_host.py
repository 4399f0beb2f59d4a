"""What of an old host may be wiped: the disks of its retired guests, from their journals alone.

Nothing that no journal lists is ever touched, and nothing at all while one guest of the host still
has its way back there.
"""

from __future__ import annotations

import datetime
import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from releve.blocks.journal import read
from releve.errors import RefusedError
from releve.migrate.record import FOLDER, run_events, stage_of

if TYPE_CHECKING:
    from pathlib import Path

    from releve.town import Town

METHOD = "overwritten once with zeros, flushed; a file is removed after that"
_WIPE = """\
set -e
export LC_ALL=C
[ -e {file} ] || {{ echo gone; exit 0; }}
device=$(df --output=source {file} 2>/dev/null | tail -n 1)
[ ! -b {file} ] || device={file}
echo "serial $(lsblk -dsno SERIAL "$device" 2>/dev/null | sed '/^ *$/d' | tail -n 1)"
if [ -b {file} ]; then
  size=$(blockdev --getsize64 {file})
else
  size=$(stat -L -c %s {file})
fi
head -c "$size" /dev/zero | dd of={file} bs=4M iflag=fullblock conv=notrunc,fsync status=none
[ -b {file} ] || rm -f {file}
echo "wiped $size"
"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One disk that a retired guest left at its old host."""

    guest: str
    disk: str
    file: str


@dataclass(frozen=True, slots=True)
class Wiping:
    """The record of one disk: whose, where, the drive's serial number, how, how much and when."""

    host: str
    guest: str
    disk: str
    file: str
    serial: str
    method: str
    bytes: int
    at: str


def leftovers(town: Town, host: str, confirm: str, folder: Path = FOLDER) -> list[Leftover]:
    """Return the disks that may be wiped at an old host; raises RefusedError.

    `confirm` is the host's name, typed by a person.
    """
    if confirm != host:
        message = f"{host}: nothing was wiped; confirm by its name: --data confirm={host}"
        raise RefusedError(message)
    found = []
    for name, guest in town.guests.items():
        if guest.source != host:
            continue
        events = run_events(read(folder / name / "journal.jsonl"))
        if stage_of(events) != "retired":
            message = (
                f"{host}: nothing was wiped; {name} is {stage_of(events)}, not retired:"
                f" `releve migrate retire {name}`"
            )
            raise RefusedError(message)
        retired = next(event for event in reversed(events) if event["event"] == "retired")
        found += [Leftover(name, disk["name"], disk["file"]) for disk in retired["disks"]]
    return found


def wipe_line(one: Leftover) -> str:
    """Return the shell lines that wipe one disk and say what they did."""
    return _WIPE.format(file=shlex.quote(one.file))


def wiping(host: str, one: Leftover, said: list[str]) -> Wiping | None:
    """Return the record of what the lines said; None for a disk that was gone before.

    Raises RefusedError when they do not say that it was wiped.
    """
    if "gone" in said:
        return None
    words = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in said}
    if not words.get("wiped", "").isdigit():
        message = f"{host}: {one.file} was not wiped: {' | '.join(said) or 'no word'}"
        raise RefusedError(message)
    at = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    return Wiping(
        host, one.guest, one.disk, one.file, words.get("serial") or "unknown", METHOD,
        int(words["wiped"]), at,
    )  # fmt: skip


def keep(file: Path, one: Wiping) -> None:
    """Append a record to the host's file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
