"""The one thing that a sender's key can do on the vault: bring a copy of a guest.

It runs as an ssh forced command, as a user that owns nothing but `incoming` and `done`. The
sender chooses names and bytes; numbers, times, places and whether anything is kept are the
vault's. What grows during an upload are files without a name (O_TMPFILE): a cut, a refusal or a
kill leaves nothing behind. The list of a copy's hashes is never told: a sender keeps its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import syslog
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from releve.vault.store import (
    LINE,
    Config,
    Copy,
    Store,
    VaultError,
    clone,
    digest_of_file,
    is_name,
    iso,
    line_of,
    parse_iso,
    utc_now,
    write_zero_blocks,
)
from releve.vault.wire import (
    ANSWER,
    BLOCK,
    HELLO,
    REFUSAL,
    RESULT,
    VERSION,
    Block,
    DiskSize,
    Reader,
    Refusal,
    WireError,
    disks_of,
    frame_of_words,
    guest_of,
)

if TYPE_CHECKING:
    from pathlib import Path

MAX_GUESTS = 200
"""Guests of one sender: more is a sender gone wrong."""
IDLE_SECONDS = 300
"""A sender that says nothing for so long is cut off."""
CHECK_EVERY = 16 << 20
"""Bytes between two looks at the free space."""
SEAL_SECONDS = 60
"""How long a sealer may take, beside a second for each SEAL_SPEED bytes."""
SEAL_SPEED = 50 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What a sender asks for, in the words of its ssh command."""

    sender: str
    guest: str
    disks: tuple[str, ...]

    @classmethod
    def parse(cls, sender: str, command: str) -> Order:
        """Read `put GUEST DISK...`; raises Refusal for anything else."""
        words = command.split(" ") if len(command) <= 400 else []  # noqa: PLR2004  # 10 names
        if len(words) < 3 or words[0] != "put" or not all(map(is_name, words[1:])):  # noqa: PLR2004
            message = "this key can do one thing: put GUEST DISK..."
            raise Refusal(message)
        return cls(sender, words[1], tuple(words[2:]))


@dataclass(slots=True)
class Target:
    """One disk that is arriving: its image and its blocks file, both without a name yet."""

    disk: DiskSize
    image: int
    blocks: int
    based: bool


@dataclass(slots=True)
class Upload:
    """All that one upload holds open; closing it forgets it."""

    config: Config
    store: Store
    order: Order
    targets: list[Target] = field(default_factory=list)
    stored: int = 0
    _budget: int = 0
    _checked: int = 0

    def prepare(self, disks: tuple[DiskSize, ...], base: Copy | None, roots: list[Any]) -> None:
        """Open the files of each disk, as a clone of the last copy where the sender knows it."""
        used = sum(int(c.facts()["stored_bytes"]) for c in self.store.all_copies(self.order.sender))
        self._budget = self.config.quota_bytes - used
        self._look_at_space()
        known = {disk.name: disk for disk in base.disks()} if base else {}
        for disk, root in zip(disks, roots, strict=True):
            based = base is not None and known.get(disk.name) == disk
            based = based and base is not None and base.root(disk.name) == root
            target = Target(disk, self._nameless(), self._nameless(), based)
            self.targets.append(target)
            if based and base is not None:
                _clone_file(base.folder / f"{disk.name}.raw", target.image)
                _clone_file(base.folder / f"{disk.name}.blocks", target.blocks)
            else:
                os.ftruncate(target.image, disk.size)
                write_zero_blocks(target.blocks, disk)

    def write(self, block: Block) -> None:
        """Write one checked block and its line."""
        target = self.targets[block.disk]
        if block.data is not None or target.based:
            data = block.data or bytes(target.disk.length(block.index))
            os.pwrite(target.image, data, block.index * BLOCK)
            self.stored += len(data)
        os.pwrite(target.blocks, line_of(block.digest), block.index * LINE)
        if self.stored > self._budget:
            message = f"the quota of {self.order.sender} is used up"
            raise Refusal(message)
        if self.stored - self._checked >= CHECK_EVERY:
            self._look_at_space()

    def finish(self, roots: list[Any]) -> None:
        """Check the root of each disk and see all bytes on the disk."""
        if not isinstance(roots, list) or len(roots) != len(self.targets):
            message = "the end does not name a root for each disk"
            raise WireError(message)
        for target, root in zip(self.targets, roots, strict=True):
            os.fsync(target.image)
            os.fsync(target.blocks)
            if digest_of_file(target.blocks) != root:
                message = f"disk {target.disk.name}: what arrived is not what was sent"
                raise WireError(message)

    def publish(self, said: dict[str, Any]) -> str:
        """Give the files their names, all at once, where the sealer looks; return the id."""
        ticket = secrets.token_hex(16)
        part = self.store.incoming / f"{self.order.sender}.{self.order.guest}.part"
        part.mkdir(mode=0o700)
        try:
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
            for target in self.targets:
                _give_name(target.image, folder, f"{target.disk.name}.raw")
                _give_name(target.blocks, folder, f"{target.disk.name}.blocks")
            disks = [{"name": t.disk.name, "size": t.disk.size} for t in self.targets]
            facts = {"ticket": ticket, "disks": disks, "stored_bytes": self.stored}
            _write(part / "upload.json", facts | {"received": iso(utc_now())})
            _write(part / "guest.json", said)
            os.fsync(folder)
            os.close(folder)
            part.rename(self.store.upload(self.order.sender, self.order.guest))
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return ticket

    def close(self) -> None:
        """Let go of all files; those without a name are gone."""
        for target in self.targets:
            os.close(target.image)
            os.close(target.blocks)
        self.targets.clear()

    def _nameless(self) -> int:
        return os.open(self.store.incoming, os.O_TMPFILE | os.O_RDWR, 0o600)

    def _look_at_space(self) -> None:
        self._checked = self.stored
        disk = os.statvfs(self.store.root)
        if disk.f_bavail * 100 < disk.f_blocks * self.config.reserve_percent:
            message = "the vault has no room left but its reserve"
            raise Refusal(message)


def receive(config: Config, sender: str, command: str, out: BinaryIO, read_fd: int = 0) -> int:
    """Serve one session; return the exit code. Every refusal is told in one frame and logged."""
    syslog.openlog("releve-vault", syslog.LOG_PID, syslog.LOG_DAEMON)
    reader = Reader(lambda count: _read(read_fd, count))
    try:
        result = _session(config, Order.parse(sender, command), reader, out)
        out.write(frame_of_words(RESULT, result))
        out.flush()
    except (WireError, Refusal, VaultError, OSError, ValueError) as error:
        reason = str(error) if not isinstance(error, OSError) else f"the vault cannot: {error}"
        syslog.syslog(syslog.LOG_WARNING, f"refused {sender} {command[:80]!r}: {reason}")
        with contextlib.suppress(OSError):
            out.write(frame_of_words(REFUSAL, {"reason": reason}))
            out.flush()
        return 1
    syslog.syslog(syslog.LOG_NOTICE, f"{sender} {command}: copy {result['copy']}")
    return 0


def _session(config: Config, order: Order, reader: Reader, out: BinaryIO) -> dict[str, Any]:
    store = Store(config.root)
    with _only_one(store, order):
        hello = reader.words(HELLO)
        disks, roots, said = _agree(config, order, hello)
        copies = store.copies_of(order.sender, order.guest)
        _may_come(config, store, order, copies)
        upload = Upload(config, store, order)
        try:
            good = copies and not store.suspect(copies[-1]).exists()
            upload.prepare(disks, copies[-1] if good else None, roots)
            base = [target.based for target in upload.targets]
            out.write(frame_of_words(ANSWER, {"version": VERSION, "base": base}))
            out.flush()
            reader.expect(disks)
            end: dict[str, Any] = {}
            for item in reader.changes():
                if isinstance(item, Block):
                    upload.write(item)
                else:
                    end = item
            upload.finish(end.get("roots", []))
            ticket = upload.publish(said)
        finally:
            upload.close()
        return _await_seal(store, order, ticket, sum(disk.size for disk in disks))


def _agree(
    config: Config, order: Order, hello: dict[str, Any]
) -> tuple[tuple[DiskSize, ...], list[Any], dict[str, Any]]:
    """Return disks, known roots and what is said of the guest; raises WireError or Refusal."""
    if hello.get("version") != VERSION:
        message = f"this vault speaks version {VERSION} only"
        raise Refusal(message)
    disks = disks_of(hello, config.largest_disk_bytes)
    if tuple(disk.name for disk in disks) != order.disks:
        message = "the disks are not those of the command"
        raise WireError(message)
    return disks, [entry.get("root") for entry in hello["disks"]], guest_of(hello.get("guest"))


def _may_come(config: Config, store: Store, order: Order, copies: list[Copy]) -> None:
    """Refuse before anything is written: a copy waits, too many came, or too many guests."""
    if store.upload(order.sender, order.guest).exists():
        message = f"the last copy of {order.guest} is still being sealed: try again later"
        raise Refusal(message)
    day_ago = utc_now() - timedelta(days=1)
    recent = [c for c in copies[-config.copies_per_day :] if _received(c) > day_ago]
    if len(recent) >= config.copies_per_day:
        message = f"{config.copies_per_day} copies of {order.guest} came within a day: no more"
        raise Refusal(message)
    folder = store.copies / order.sender
    if not copies and folder.is_dir() and len(list(folder.iterdir())) >= MAX_GUESTS:
        message = f"{order.sender} has brought {MAX_GUESTS} guests: no more"
        raise Refusal(message)


def _received(copy: Copy) -> Any:  # noqa: ANN401  # a datetime; kept out of the imports
    return parse_iso(str(copy.facts()["received"]))


@contextlib.contextmanager
def _only_one(store: Store, order: Order) -> Any:  # noqa: ANN401  # a generator of None
    """Hold the lock of this guest, and clear what a killed run left under its name."""
    name = f"{order.sender}.{order.guest}"
    lock = os.open(store.incoming / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another upload of {order.guest} is going on: try again later"
            raise Refusal(message) from error
        part = store.incoming / f"{name}.part"
        if part.exists():
            shutil.rmtree(part)
        yield
    finally:
        os.close(lock)


def _await_seal(store: Store, order: Order, ticket: str, size: int) -> dict[str, Any]:
    """Wait until the sealer is through, and return what the vault says of the copy."""
    upload = store.upload(order.sender, order.guest)
    end = time.monotonic() + SEAL_SECONDS + size / SEAL_SPEED
    while upload.exists() and time.monotonic() < end:
        time.sleep(0.1)
    copies = store.copies_of(order.sender, order.guest)
    facts = copies[-1].facts() if copies else {}
    if upload.exists() or facts.get("ticket") != ticket:
        message = "the copy arrived whole, but it is not sealed: look at the vault's journal"
        raise Refusal(message)
    return {key: facts[key] for key in ("copy", "received", "lock_until", "stored_bytes", "disks")}


def _read(fd: int, count: int) -> bytes:
    ready, _, _ = select.select([fd], [], [], IDLE_SECONDS)
    if not ready:
        message = f"the sender said nothing for {IDLE_SECONDS} s"
        raise WireError(message)
    return os.read(fd, min(count, 1 << 20))


def _clone_file(source: Path, target: int) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        clone(fd, target)
    finally:
        os.close(fd)


def _give_name(fd: int, folder: int, name: str) -> None:
    # The folder must be given by descriptor: only then does Python follow the link in /proc.
    os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)


def _write(file: Path, words: dict[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        json.dump(words, stream, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
