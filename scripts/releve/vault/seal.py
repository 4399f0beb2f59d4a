"""Makes of a whole upload a copy that nobody but the vault's own root can alter.

The upload belongs to a user that a sender talks to, so nothing of it is believed or moved: its
files are cloned into root's own subvolume (whoever still holds the old ones open changes only
those), every block is hashed again there, and only then does the copy get its number, its name
and its seal. Each step can be cut by a power failure; the next run ends or clears it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import syslog
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from releve.vault import btrfs
from releve.vault.grant import revoke
from releve.vault.store import (
    LINE,
    MANIFEST,
    Config,
    Copy,
    Store,
    VaultError,
    blocks_of_image,
    clone,
    digest_of_file,
    folder_name,
    is_name,
    iso,
    line_of,
    utc_now,
)
from releve.vault.wire import MAX_WORDS, DiskSize, WireError, disks_of, guest_of, words_of

if TYPE_CHECKING:
    from pathlib import Path

POLL_SECONDS = 0.5
RETRY_SECONDS = 30
_LINES = 4096
_HOSTILE = {errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.EACCES}
"""What the system says of links, pipes and missing files where files must be."""


def watch(config: Config) -> None:
    """Seal whatever arrives, and take out grants that are over, for ever."""
    syslog.openlog("releve-vault", syslog.LOG_PID, syslog.LOG_DAEMON)
    recover(config)
    while True:
        try:
            seal_all(config)
            revoke(config, None)
        except OSError as error:
            # Not the upload's fault (no space, a failing disk): it stays where it is.
            syslog.syslog(syslog.LOG_ERR, f"cannot seal now: {error}")
            time.sleep(RETRY_SECONDS)
        time.sleep(POLL_SECONDS)


def seal_all(config: Config) -> list[Copy]:
    """Seal every upload that waits; one that is not what it says is refused and removed."""
    store = Store(config.root)
    sealed = []
    for upload in sorted(store.done.iterdir()):
        try:
            copy = seal(config, store, upload)
        except (VaultError, WireError) as error:
            syslog.syslog(syslog.LOG_ERR, f"refused upload {upload.name}: {error}")
            _suspect_base(store, upload.name)
            _remove(upload)
            continue
        syslog.syslog(syslog.LOG_NOTICE, f"sealed {copy.sender}/{copy.guest} {copy.folder.name}")
        sealed.append(copy)
    return sealed


def recover(config: Config) -> None:
    """Clear copies that were never named, and end the sealing of those that were.

    Folders above the copies only ever gain names: without that, their owner could move them away.
    """
    store = Store(config.root)
    guests = {copy.folder.parent for copy in store.all_copies()}
    for folder in {store.root, store.copies, *guests, *(guest.parent for guest in guests)}:
        if not btrfs.flags(folder) & btrfs.APPEND_ONLY:
            btrfs.add_flag(folder, btrfs.APPEND_ONLY)
    for leftover in store.work.iterdir():
        shutil.rmtree(leftover)
    for copy in store.all_copies():
        if not is_sealed(copy):
            finish(store, copy)


def _suspect_base(store: Store, name: str) -> None:
    """Mark the copy that a refused upload was built from: it may have been altered, or have rotted.

    The next upload is then sent whole, so a bad copy does not keep good ones from coming.
    """
    sender, _, guest = name.partition(".")
    copies = store.copies_of(sender, guest) if is_name(sender) and is_name(guest) else []
    if copies:
        store.suspect(copies[-1]).touch()


def seal(config: Config, store: Store, upload: Path) -> Copy:
    """Seal one upload; raises VaultError or WireError when it is not what it says it is."""
    sender, _, guest = upload.name.partition(".")
    if not is_name(sender) or not is_name(guest) or sender not in config.senders:
        message = "its name is none of ours"
        raise VaultError(message)
    try:
        with btrfs.opened(upload) as folder:
            copy = _seal(config, store, folder, sender, guest)
    except OSError as error:
        if error.errno not in _HOSTILE:
            raise
        message = f"it is not a folder of files: {error}"
        raise VaultError(message) from error
    finish(store, copy)
    _remove(upload)
    return copy


def _seal(config: Config, store: Store, folder: int, sender: str, guest: str) -> Copy:
    said = _words(folder, "upload.json")
    copies = store.copies_of(sender, guest)
    if copies and copies[-1].facts()["ticket"] == said.get("ticket"):
        return copies[-1]
    number = copies[-1].number + 1 if copies else 1
    work = store.work / f"{sender}.{guest}.{folder_name(number)}"
    btrfs.create_subvolume(work)
    try:
        _fill(config, folder, work, said, number)
        return _name(store, work, sender, guest, number)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def finish(store: Store, copy: Copy) -> None:
    """Seal a named copy, and note it in the vault's log; done again it changes nothing."""
    if not btrfs.is_read_only(copy.folder):
        for file in sorted(copy.folder.iterdir()):
            btrfs.add_flag(file, btrfs.IMMUTABLE)
        btrfs.add_flag(copy.folder, btrfs.IMMUTABLE)
        btrfs.set_read_only(copy.folder)
    line = f"{copy.facts()['received']} {log_entry(copy)}\n"
    log = os.open(store.log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        with os.fdopen(os.dup(log), encoding="utf-8") as stream:
            noted = line in stream
        if not noted:
            os.write(log, line.encode())
        os.fsync(log)
    finally:
        os.close(log)
    if not btrfs.flags(store.log) & btrfs.APPEND_ONLY:
        btrfs.add_flag(store.log, btrfs.APPEND_ONLY)


def log_entry(copy: Copy) -> str:
    """Return what the vault's log says of a copy: which, and the sha256 of its manifest."""
    manifest = hashlib.sha256((copy.folder / MANIFEST).read_bytes()).hexdigest()
    return f"{copy.sender} {copy.guest} {copy.folder.name} {manifest}"


def is_sealed(copy: Copy) -> bool:
    """Whether all of a copy is immutable, its folder too, and its subvolume read-only."""
    paths = [copy.folder, *copy.folder.iterdir()]
    return all(btrfs.flags(path) & btrfs.IMMUTABLE for path in paths) and btrfs.is_read_only(
        copy.folder
    )


def _fill(config: Config, folder: int, work: Path, said: dict[str, Any], number: int) -> None:
    """Clone the upload into `work`, hash all of it, and write the vault's own files."""
    sums = {}
    disks = []
    for disk in disks_of(said, config.largest_disk_bytes):
        image, blocks = f"{disk.name}.raw", f"{disk.name}.blocks"
        _take(folder, work / image, disk.size)
        _take(folder, work / blocks, disk.blocks * LINE)
        sums[image] = _check_blocks(work / image, work / blocks, disk)
        with btrfs.opened(work / blocks) as fd:
            sums[blocks] = digest_of_file(fd)
        disks.append({"name": disk.name, "size": disk.size, "root": sums[blocks]})
    guest = guest_of(_words(folder, "guest.json"))
    now = utc_now()
    facts = {
        "copy": number,
        "disks": disks,
        "ticket": str(said.get("ticket"))[:64],
        "stored_bytes": max(0, int(said.get("stored_bytes", 0))),
        "received": iso(now),
        "lock_until": iso(now + timedelta(days=config.lock_days)),
        "witness": guest.get("witness"),
    }
    for name, words in (("guest.json", guest), ("copy.json", facts)):
        sums[name] = _write(work / name, json.dumps(words, sort_keys=True) + "\n")
    _write(work / MANIFEST, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    gid = (config.root / "copies").stat().st_gid
    for path in (work, *work.iterdir()):
        os.chown(path, 0, gid)
        path.chmod(0o550 if path == work else 0o440)
        _sync(path)


def _name(store: Store, work: Path, sender: str, guest: str, number: int) -> Copy:
    """Move a finished copy to its place: folders there only ever gain names."""
    folder = store.copies
    for name in (sender, guest):
        folder = folder / name
        if not folder.exists():
            folder.mkdir(mode=0o750)
            os.chown(folder, 0, store.copies.stat().st_gid)
            btrfs.add_flag(folder, btrfs.APPEND_ONLY)
    copy = Copy(folder / folder_name(number))
    work.rename(copy.folder)
    _sync(folder)
    return copy


def _take(folder: int, target: Path, size: int) -> None:
    """Clone a file of the upload into a new file of root's."""
    with btrfs.opened(target.name, folder) as old:
        found = os.fstat(old)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            message = f"{target.name} is not a file of {size} bytes"
            raise VaultError(message)
        new = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o400)
        try:
            clone(old, new)
        finally:
            os.close(new)


def _check_blocks(image: Path, blocks: Path, disk: DiskSize) -> str:
    """Hash the image, block by block against its list and as a whole; return the latter."""
    whole = hashlib.sha256()
    with btrfs.opened(image) as fd, blocks.open("rb", buffering=LINE * _LINES) as lines:
        for index, block in enumerate(blocks_of_image(fd, disk.size)):
            whole.update(block)
            if lines.read(LINE) != line_of(hashlib.sha256(block).digest()):
                message = f"{image.name}: block {index} is not what its list says"
                raise VaultError(message)
    return whole.hexdigest()


def _words(folder: int, name: str) -> dict[str, Any]:
    """Read a small JSON object that an untrusted user wrote."""
    with btrfs.opened(name, folder) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            message = f"{name} is not a file"
            raise VaultError(message)
        return words_of(os.read(fd, MAX_WORDS))


def _write(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    with btrfs.opened(path) as fd:
        os.fsync(fd)


def _remove(upload: Path) -> None:
    if upload.is_dir() and not upload.is_symlink():
        shutil.rmtree(upload)
    else:
        upload.unlink()
