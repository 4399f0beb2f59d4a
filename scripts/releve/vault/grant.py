"""A grant: for some hours, one receiver may read the copies of one guest, and nothing else.

Only root at the vault's own console can open one. It is a line in a file of keys that root owns;
sshd refuses the key when the line's time is over, the server asks the file again while it serves,
and the sealer takes dead lines out. Ending a grant early is taking out its line.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import syslog
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from releve.vault.btrfs import opened
from releve.vault.store import (
    MANIFEST,
    Config,
    Store,
    VaultError,
    blocks_of_image,
    is_name,
    utc_now,
)
from releve.vault.wire import (
    END,
    HELLO,
    REFUSAL,
    VERSION,
    Batch,
    DiskSize,
    Refusal,
    frame_of_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releve.vault.store import Copy

RESTORE_USER = "releve-restore"
MAX_HOURS = 168
PROGRAM = "/usr/bin/python3 -I /usr/local/lib/releve/vault.pyz"
_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/=]{60,1000}\Z")
_TIME = "%Y%m%d%H%M%SZ"
_LINE = re.compile(
    r'restrict,expiry-time="(?P<until>\d{14}Z)",command="[^"]* serve (?P<ticket>[0-9a-f]{16}) '
    r'(?P<guest>[a-z0-9-]+/[a-z0-9-]+)" (?P<key>\S+ \S+) (?P<host>[a-z0-9-]+)\Z'
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may read which guest's copies, and until when."""

    ticket: str
    guest: str
    host: str
    key: str
    until: datetime

    def line(self) -> str:
        """Return its line in the file of keys."""
        until = self.until.astimezone(UTC).strftime(_TIME)
        command = f"{PROGRAM} serve {self.ticket} {self.guest}"
        return f'restrict,expiry-time="{until}",command="{command}" {self.key} {self.host}'


def keys_file(config: Config) -> Path:
    """Return the file of keys of the user that restores log in as."""
    return config.keys_folder / RESTORE_USER


def grants(config: Config) -> list[Grant]:
    """Return the grants that are still good."""
    file = keys_file(config)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = []
    for line in lines:
        if match := _LINE.match(line):
            until = datetime.strptime(match["until"], _TIME).replace(tzinfo=UTC)
            if until > utc_now():
                ticket, guest, host, key = match.group("ticket", "guest", "host", "key")
                found.append(Grant(ticket, guest, host, key, until))
    return found


def grant(config: Config, guest: str, host: str, hours: int, key: str | None) -> Grant:
    """Open a grant; raises VaultError when guest, receiver, key or hours are none of ours."""
    copy = Store(config.root).find(guest)
    key = key or config.senders.get(host)
    if not is_name(host) or key is None:
        names = ", ".join(sorted(config.senders))
        message = f"no key of {host} is known here (known: {names}): name one by --key"
        raise VaultError(message)
    key = " ".join(key.split()[:2])
    if not _KEY.match(key):
        message = f"the key of {host} is not an ssh public key"
        raise VaultError(message)
    if not 0 < hours <= MAX_HOURS:
        message = f"a grant lasts 1 to {MAX_HOURS} hours"
        raise VaultError(message)
    until = utc_now() + timedelta(hours=hours)
    new = Grant(secrets.token_hex(8), f"{copy.sender}/{copy.guest}", host, key, until)
    # One key, one line: sshd takes the first that matches, so an older one would hide the newer.
    _write(config, [one for one in grants(config) if one.key != key] + [new])
    return new


def revoke(config: Config, ticket: str | None) -> int:
    """End a grant (None: take out the dead ones only); return how many are left."""
    left = [one for one in grants(config) if one.ticket != ticket]
    _write(config, left)
    return len(left)


def _write(config: Config, left: list[Grant]) -> None:
    file = keys_file(config)
    text = "".join(f"{one.line()}\n" for one in left)
    if text == (file.read_text(encoding="utf-8") if file.exists() else ""):
        return
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.chmod(0o644)
    part.replace(file)


def serve(config: Config, ticket: str, guest: str, command: str, out: BinaryIO) -> int:
    """Serve one session of a grant; return the exit code.

    `get [NUMBER]` sends a copy (the newest unless numbered) in the frames of the wire.
    """
    syslog.openlog("releve-vault", syslog.LOG_PID, syslog.LOG_DAEMON)
    try:
        words = command.split(" ")
        if not (words == ["get"] or (len(words) == 2 and words[0] == "get" and words[1].isdigit())):  # noqa: PLR2004  # verb and number
            message = "this grant can do one thing: get [NUMBER]"
            raise Refusal(message)
        _still_good(config, ticket, guest)
        copy = Store(config.root).find(guest, int(words[1]) if words[1:] else None)
        syslog.syslog(syslog.LOG_NOTICE, f"grant {ticket}: {guest} {copy.folder.name} is read")
        for frame in frames_of(copy):
            _still_good(config, ticket, guest)
            out.write(frame)
        out.flush()
    except (Refusal, VaultError, OSError, ValueError) as error:
        syslog.syslog(syslog.LOG_WARNING, f"grant {ticket}: {error}")
        with contextlib.suppress(OSError):
            out.write(frame_of_words(REFUSAL, {"reason": str(error)}))
            out.flush()
        return 1
    return 0


def _still_good(config: Config, ticket: str, guest: str) -> None:
    if not any(one.ticket == ticket and one.guest == guest for one in grants(config)):
        message = "this grant is over: ask for another at the vault's console"
        raise Refusal(message)


def frames_of(copy: Copy) -> Iterator[bytes]:
    """Yield a copy as frames: hello with its text files, every block as it is now, the end.

    The receiver judges: it makes the lists of hashes anew and compares them with the manifest.
    """
    names = (MANIFEST, "copy.json", "guest.json")
    text = {name: (copy.folder / name).read_text(encoding="utf-8") for name in names}
    disks = copy.disks()
    entries = [{"name": disk.name, "size": disk.size} for disk in disks]
    words = {"version": VERSION, "sender": copy.sender, "guest": copy.guest}
    yield frame_of_words(HELLO, words | {"files": text, "disks": entries})
    for number, disk in enumerate(disks):
        yield from _frames_of_disk(copy, number, disk)
    yield frame_of_words(END, {})


def _frames_of_disk(copy: Copy, number: int, disk: DiskSize) -> Iterator[bytes]:
    """Yield the blocks of one image; blocks of zeros are left out where a run of them is."""
    batch = Batch(number, disk)
    with opened(copy.folder / f"{disk.name}.raw") as fd:
        for index, block in enumerate(blocks_of_image(fd, disk.size)):
            yield from batch.add(index, block)
    yield from batch.flush()
