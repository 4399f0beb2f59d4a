"""On a node: copy one guest to the vault, running or not, and keep what the vault answered."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import BlocksError
from releve.vault.freeze import Freeze, Monitor, NbdDisk, clear
from releve.vault.node import NodeError, NodeGuest
from releve.vault.run import ProgramError
from releve.vault.send import KnownBlocks, Sender, Sent, connected
from releve.vault.stopped import stopped
from releve.vault.store import VaultError
from releve.vault.wire import Refusal, WireError
from releve.witness import WitnessError, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path("/etc/releve/vault-sender.json")
FAILURES = (BlocksError, NodeError, ProgramError, Refusal, WireError, VaultError, OSError)
"""All that can go wrong with a copy and is told as one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the sender (/etc/releve/vault-sender.json, by role vault_sender)."""

    address: str
    key: str
    known_hosts: str
    state: Path
    reserve_bytes: int
    guests: dict[str, dict[str, Any]]
    receive_user: str
    restore_user: str

    @classmethod
    def load(cls, file: Path = CONFIG) -> Settings:
        """Read the settings; raises VaultError."""
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            return cls(**raw | {"state": Path(raw["state"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{file}: cannot be used as the sender's settings: {error!r}"
            raise VaultError(message) from error

    def folder(self, guest: str) -> Path:
        """Return (and make) the state folder of a guest; raises VaultError for an unknown one."""
        if guest not in self.guests:
            message = f"{guest} is no guest to copy; there are {', '.join(sorted(self.guests))}"
            raise VaultError(message)
        folder = self.state / guest
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def ssh(self, user: str, command: str) -> list[str]:
        """Return the words that run `command` on the vault, whose host key is pinned."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.known_hosts,
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "4",
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [
            "ssh",
            "-F",
            "none",
            "-T",
            "-i",
            self.key,
            *words,
            f"{user}@{self.address}",
            command,
        ]


def copy_guest(settings: Settings, name: str, root: Path = Path("/")) -> dict[str, Any]:
    """Copy one guest; return what is kept of it. Raises one of FAILURES.

    Whatever an earlier run left in QEMU or in the state folder is cleared first.
    """
    folder = settings.folder(name)
    with _only_one(folder):
        guest = NodeGuest(int(settings.guests[name]["vmid"]), root)
        last = _read(folder / "last.json")
        qemu = guest.qemu()
        same = qemu is not None and qemu == last.get("qemu")
        since = str(last["bitmap"]) if same and last.get("bitmap") else None
        tidy(settings, name, root, keep=since)
        begun = time.monotonic()
        words = _words(settings, name, guest, running=qemu is not None)
        with _source(settings, name, guest, since, running=qemu is not None) as (disks, freeze):
            sent = _send(settings, name, folder, disks, words)
            kept = sent.words | {
                "guest": name,
                "qemu": qemu if freeze else None,
                "bitmap": freeze.bitmap if freeze else None,
                "frozen": words["frozen"],
                "witness": words["witness"],
                "sent_blocks": sent.sent_blocks,
                "read_bytes": sent.read_bytes,
                "how": sent.compared,
                "seconds": round(time.monotonic() - begun, 3),
            }
            _write(folder / "last.json", kept)
            if freeze:
                freeze.keep()
        with (folder / "copies.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(kept, sort_keys=True) + "\n")
        return kept


def tidy(settings: Settings, name: str, root: Path = Path("/"), keep: str | None = None) -> None:
    """Clear what a copy that was killed left behind; `keep` is a bitmap that may stay."""
    folder = settings.folder(name)
    guest = NodeGuest(int(settings.guests[name]["vmid"]), root)
    if guest.qemu() is None:
        for file in folder.glob("fleece-*.qcow2"):
            file.unlink()
    else:
        clear(Monitor(guest.monitor), folder, keep)
    for file in folder.glob("*.blocks.new"):
        file.unlink()


def tidy_after(settings: Settings, name: str, root: Path = Path("/")) -> None:
    """Clear after a run, however it ended, unless the next one has begun."""
    folder = settings.folder(name)
    with _only_one(folder):
        bitmap = _read(folder / "last.json").get("bitmap")
        tidy(settings, name, root, keep=str(bitmap) if bitmap else None)


def copies(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Return what the vault answered to each copy that was brought, oldest first."""
    file = settings.folder(name) / "copies.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


@contextlib.contextmanager
def _source(
    settings: Settings, name: str, guest: NodeGuest, since: str | None, *, running: bool
) -> Iterator[tuple[list[NbdDisk], Freeze | None]]:
    """Yield the guest's disks at one point in time, called as the town calls them."""
    folder = settings.folder(name)
    called = settings.guests[name]["disks"]
    volumes = {called.get(slot, slot): (slot, volume) for slot, volume in guest.disks().items()}
    if not volumes:
        message = f"{name} has no disk to copy"
        raise NodeError(message)
    if running:
        guest.refuse_unfrozen()
        nodes = {disk: f"drive-{slot}" for disk, (slot, _volume) in volumes.items()}
        label = secrets.token_hex(4)
        monitor = Monitor(guest.monitor)
        with Freeze(monitor, folder, nodes, since, label, settings.reserve_bytes) as freeze:
            yield freeze.disks, freeze
        return
    files = {disk: guest.volume(volume) for disk, (_slot, volume) in volumes.items()}
    with stopped(folder, files, lambda: guest.qemu() is None) as disks:
        yield disks, None


def _send(
    settings: Settings, name: str, folder: Path, disks: list[NbdDisk], words: dict[str, Any]
) -> Sent:
    command = " ".join(["put", name, *(one.disk.name for one in disks)])
    known = [KnownBlocks.load(folder, one.disk) for one in disks]
    with connected(settings.ssh(settings.receive_user, command)) as (out, reader):
        return Sender(out, reader).put(disks, known, words)


def _words(settings: Settings, name: str, guest: NodeGuest, *, running: bool) -> dict[str, Any]:
    """Return what is told of the guest; its witness is asked just before the freeze."""
    words: dict[str, Any] = {
        "name": name,
        "vmid": guest.vmid,
        "config": guest.config(),
        "disks": settings.guests[name]["disks"],
        "state": "running" if running else "stopped",
        "witness": None,
    }
    place = settings.guests[name].get("witness")
    if running and place:
        with contextlib.suppress(WitnessError):
            said = ask(place["address"], int(place["port"]))
            words["witness"] = {"record": said.newest, "sum": said.sum, "ms": said.ms}
    moment = datetime.datetime.now(tz=datetime.UTC)
    words["frozen"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return words


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        message = f"{folder}: another copy of this guest is going on: try again later"
        raise NodeError(message) from error
    finally:
        os.close(lock)


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON object, an empty one when the file is missing or was cut short."""
    try:
        words = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}


def _write(file: Path, words: dict[str, Any]) -> None:
    part = file.with_name(f"{file.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        json.dump(words, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
