"""Where the double keeps its state, and how it writes files that survive a power cut."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .refusal import fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one host; `root` is / in the lab and a temporary folder in tests."""

    root: Path
    node: str

    @property
    def config(self) -> Path:
        """Configuration, as PVE's cluster file system shows it."""
        return self.root / "etc/pve"

    @property
    def guests(self) -> Path:
        """One VMID.conf for each guest."""
        return self.config / "qemu-server"

    @property
    def secrets(self) -> Path:
        """What only root may read: tokens' secrets and the key of tickets."""
        return self.config / "priv"

    @property
    def root_password(self) -> Path:
        """Where the lab puts root's password, mode 0600."""
        return self.root / "etc/releve-lab/root-password"

    @property
    def run(self) -> Path:
        """Sockets and process ids of running guests."""
        return self.root / "run/qemu-server"

    @property
    def events(self) -> Path:
        """Socket on which QEMU tells its events."""
        return self.root / "run/qmeventd.sock"

    @property
    def tasks(self) -> Path:
        """One file for each task."""
        return self.root / "var/log/pve/tasks"

    @property
    def consoles(self) -> Path:
        """What guests wrote to their serial ports."""
        return self.root / "var/log/pve/consoles"

    def prepare(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.guests, self.run, self.tasks, self.consoles):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.secrets, self.root_password.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self, name: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock of one file among all processes; PVE's words when it is not to be had."""
        folder = self.root / "run/lock/qemu-server"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"lock-{name}"
        end = time.monotonic() + seconds
        with path.open("w") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        message = f"can't lock file '/var/lock/qemu-server/{path.name}'"
                        raise fault(f"{message} - got timeout") from None
                    time.sleep(0.05)
            yield


def read_json(path: Path, default: dict[str, Any]) -> dict[str, Any]:
    """Return what a file holds, or the default when it is not there."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    return content


def write_json(path: Path, content: dict[str, Any], mode: int = 0o640) -> None:
    """Replace a file whole, so that a power cut leaves the old one or the new one."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n", mode)


def write_text(path: Path, text: str, mode: int = 0o640) -> None:
    """Replace a file whole; it is on the disk before this returns."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
