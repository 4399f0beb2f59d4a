"""How the vault's disk is laid out, and the plain files that a copy consists of.

incoming/            the receiver's: files without a name, gone with the process that made them
done/SENDER.GUEST/   an upload that is whole, waiting to be sealed
work/                root's: copies that are being made
copies/SENDER/GUEST/NNNNNN/
    vda.raw          the disk, as it was at one point in time
    vda.blocks       sha256 of each 16 KiB of it, one a line; its own sha256 is the disk's root
    guest.json       what the sender said: the guest's configuration, the witness
    copy.json        what the vault says: number, times, sizes, roots
    manifest.txt     for `sha256sum -c`
vault.log            one line for each copy: when, which, sha256 of its manifest
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.vault.wire import BLOCK, NAME, DiskSize

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path("/etc/releve/vault.json")
MANIFEST = "manifest.txt"
LINE = 65
"""Bytes of a line of a blocks file: 64 hex digits and a line feed, so a line can be found."""
FICLONE = 0x40049409
_CHUNK = 1 << 20
_DIGITS = 6
_NUMBERS = (
    "lock_days",
    "quota_bytes",
    "largest_disk_bytes",
    "reserve_percent",
    "copies_per_day",
)


class VaultError(Exception):
    """Something on the vault is not as it must be; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the vault (/etc/releve/vault.json, written by role vault_target)."""

    root: Path
    lock_days: int
    quota_bytes: int
    largest_disk_bytes: int
    reserve_percent: int
    copies_per_day: int
    keys_folder: Path
    senders: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path = CONFIG) -> Config:
        """Read the settings; raises VaultError when a key is missing or of a wrong type."""
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            numbers = {name: raw[name] for name in _NUMBERS}
            root, keys = Path(raw["root"]), Path(raw["keys_folder"])
            senders = {str(name): str(key) for name, key in raw["senders"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{file}: cannot be used as the vault's settings: {error!r}"
            raise VaultError(message) from error
        for name, value in numbers.items():
            if type(value) is not int or value < 1:
                message = f"{file}: {name} must be a whole number above 0"
                raise VaultError(message)
        return cls(root=root, keys_folder=keys, senders=senders, **numbers)


@dataclass(frozen=True, slots=True)
class Copy:
    """One sealed copy: a folder."""

    folder: Path

    @property
    def number(self) -> int:
        """Its number, given by the vault."""
        return int(self.folder.name)

    @property
    def guest(self) -> str:
        """The guest it is of."""
        return self.folder.parent.name

    @property
    def sender(self) -> str:
        """Who brought it."""
        return self.folder.parent.parent.name

    def facts(self) -> dict[str, Any]:
        """Return copy.json."""
        facts: dict[str, Any] = json.loads((self.folder / "copy.json").read_text(encoding="utf-8"))
        return facts

    def disks(self) -> tuple[DiskSize, ...]:
        """Return its disks, in the sender's order."""
        return tuple(DiskSize(one["name"], one["size"]) for one in self.facts()["disks"])

    def root(self, disk: str) -> str:
        """Return the root of a disk: the sha256 of its blocks file."""
        return next(str(one["root"]) for one in self.facts()["disks"] if one["name"] == disk)


@dataclass(frozen=True, slots=True)
class Store:
    """The vault's disk."""

    root: Path

    @property
    def incoming(self) -> Path:
        """Where uploads grow."""
        return self.root / "incoming"

    @property
    def done(self) -> Path:
        """Where whole uploads wait."""
        return self.root / "done"

    @property
    def work(self) -> Path:
        """Where the sealer makes copies."""
        return self.root / "work"

    @property
    def copies(self) -> Path:
        """Where sealed copies are."""
        return self.root / "copies"

    @property
    def suspects(self) -> Path:
        """Where copies are named that must not be built upon."""
        return self.root / "suspect"

    @property
    def log(self) -> Path:
        """The vault's log."""
        return self.root / "vault.log"

    def upload(self, sender: str, guest: str) -> Path:
        """Return where a whole upload of this guest waits; names are checked already."""
        return self.done / f"{sender}.{guest}"

    def suspect(self, copy: Copy) -> Path:
        """Return the mark that a copy is not what it was; it is there or not."""
        return self.suspects / f"{copy.sender}.{copy.guest}.{copy.folder.name}"

    def guest(self, sender: str, guest: str) -> Path:
        """Return the folder of a guest's copies."""
        return self.copies / sender / guest

    def copies_of(self, sender: str, guest: str) -> list[Copy]:
        """Return the copies of a guest, oldest first."""
        folder = self.guest(sender, guest)
        if not folder.is_dir():
            return []
        names = sorted(entry.name for entry in folder.iterdir() if is_number(entry.name))
        return [Copy(folder / name) for name in names]

    def all_copies(self, sender: str | None = None) -> Iterator[Copy]:
        """Yield the copies of one sender, or of all."""
        senders = [sender] if sender else sorted(entry.name for entry in self.copies.iterdir())
        for name in senders:
            if (self.copies / name).is_dir():
                for guest in sorted(entry.name for entry in (self.copies / name).iterdir()):
                    yield from self.copies_of(name, guest)

    def find(self, guest: str, number: int | None = None) -> Copy:
        """Return a copy by `GUEST` or `SENDER/GUEST`, the newest unless a number is given."""
        sender, _, name = guest.rpartition("/")
        found = [
            copy
            for copy in self.all_copies(sender or None)
            if copy.guest == name and number in {None, copy.number}
        ]
        if not found:
            which = "" if number is None else f" number {number}"
            message = f"the vault holds no copy{which} of {guest}"
            raise VaultError(message)
        if len({copy.sender for copy in found}) > 1:
            names = " or ".join(sorted({f"{copy.sender}/{name}" for copy in found}))
            message = f"more than one sender brought copies of {name}: say {names}"
            raise VaultError(message)
        return found[-1]


def is_name(text: str) -> bool:
    """Whether a name may become that of a folder or a file."""
    return bool(NAME.match(text))


def is_number(text: str) -> bool:
    """Whether this is the name of a copy's folder."""
    return len(text) >= _DIGITS and text.isascii() and text.isdigit()


def folder_name(number: int) -> str:
    """Return the name of the folder of copy `number`."""
    return f"{number:0{_DIGITS}d}"


def utc_now() -> datetime.datetime:
    """Return the vault's time."""
    return datetime.datetime.now(tz=datetime.UTC)


def iso(moment: datetime.datetime) -> str:
    """Return a time as text: UTC, ISO 8601, seconds, a final Z."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime.datetime:
    """Return the time that `iso` wrote."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def clone(source: int, target: int) -> None:
    """Make `target` hold what `source` holds, sharing the blocks on disk (FICLONE)."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY}:
            message = "the vault's filesystem cannot share blocks between files: use btrfs"
            raise VaultError(message) from error
        raise


def digest_of_file(fd: int) -> str:
    """Return the sha256 of a whole open file, without moving its position."""
    digest = hashlib.sha256()
    at = 0
    while part := os.pread(fd, _CHUNK, at):
        digest.update(part)
        at += len(part)
    return digest.hexdigest()


def line_of(digest: bytes) -> bytes:
    """Return the line of a blocks file that says this sha256."""
    return digest.hex().encode() + b"\n"


def write_zero_blocks(fd: int, disk: DiskSize) -> None:
    """Write the blocks file of a disk that holds zeros only."""
    lines = line_of(disk.zero_digest(0)) * (_CHUNK // LINE)
    at = 0
    whole = (disk.blocks - 1) * LINE
    while at < whole:
        at += os.pwrite(fd, lines[: min(len(lines), whole - at)], at)
    os.pwrite(fd, line_of(disk.zero_digest(disk.blocks - 1)), whole)


def blocks_of_image(fd: int, size: int) -> Iterator[bytes]:
    """Yield the blocks of an open image, in order; holes are read as zeros."""
    for at in range(0, size, _CHUNK):
        wanted = min(_CHUNK, size - at)
        part = os.pread(fd, wanted, at)
        if len(part) != wanted:
            message = f"an image ends before its {size} bytes"
            raise VaultError(message)
        for start in range(0, wanted, BLOCK):
            yield part[start : start + BLOCK]
