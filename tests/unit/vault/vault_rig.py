"""A vault and a sender in one process, joined by pipes."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.vault import seal
from releve.vault.receive import receive
from releve.vault.send import KnownBlocks, Sender, Sent
from releve.vault.store import Config, Copy, Store
from releve.vault.wire import BLOCK, DiskSize, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYOUT = ("incoming", "done", "work", "copies", "suspect")


@dataclass
class Image:
    """A disk in memory that stands for a point in time."""

    disk: DiskSize
    data: bytearray
    dirty: list[int] | None = None

    def everything(self) -> Iterator[tuple[int, int, memoryview | None]]:
        """Yield all of it, a MiB at a time; a MiB of zeros as a hole."""
        for at in range(0, len(self.data), 1 << 20):
            part = memoryview(bytes(self.data[at : at + (1 << 20)]))
            yield at, len(part), part if any(part) else None

    def changes(self) -> Iterator[tuple[int, int, memoryview | None]] | None:
        """Yield the dirty blocks, when they are known."""
        if self.dirty is None:
            return None
        ranges = ((index * BLOCK, self.disk.length(index)) for index in self.dirty)
        return ((at, size, memoryview(bytes(self.data[at : at + size]))) for at, size in ranges)


@dataclass
class Vault:
    """A vault, and a sender's state folder beside it."""

    config: Config
    state: Path

    @property
    def store(self) -> Store:
        """The vault's disk."""
        return Store(self.config.root)

    def put(
        self, image: Image, guest: str = "compta", words: dict[str, Any] | None = None
    ) -> tuple[Sent, int]:
        """Send a copy through pipes to a receiver, with a sealer at work beside it."""
        up, down = os.pipe(), os.pipe()
        codes: list[int] = []

        def vault_side() -> None:
            with os.fdopen(down[1], "wb") as out:
                codes.append(
                    receive(self.config, "pve1", f"put {guest} {image.disk.name}", out, up[0])
                )
            os.close(up[0])

        thread = threading.Thread(target=vault_side)
        ended = threading.Event()

        def sealer() -> None:
            while not ended.wait(0.02):
                seal.seal_all(self.config)

        sealing = threading.Thread(target=sealer)
        thread.start()
        sealing.start()
        known = KnownBlocks.load(self.state, image.disk)
        try:
            with os.fdopen(up[1], "wb") as out, os.fdopen(down[0], "rb") as back:
                sent = Sender(out, Reader(back.read)).put([image], [known], words or {})
        finally:
            thread.join()
            ended.set()
            sealing.join()
        return sent, codes[0]

    def copies(self, guest: str = "compta") -> list[Copy]:
        """Return the guest's copies."""
        return self.store.copies_of("pve1", guest)

    def leftovers(self) -> list[str]:
        """Return what lies where only uploads and copies in the making may lie."""
        folders = (self.store.incoming, self.store.done, self.store.work)
        return [p.name for f in folders for p in f.iterdir() if p.suffix != ".lock"]


def make_vault(root: Path, state: Path, **settings: Any) -> Vault:
    """Lay out a vault under `root`."""
    for name in LAYOUT:
        (root / name).mkdir(parents=True)
    (state / "keys").mkdir(parents=True)
    key = "ssh-ed25519 " + "A" * 68
    values: dict[str, Any] = {
        "lock_days": 30,
        "quota_bytes": 1 << 30,
        "largest_disk_bytes": 1 << 30,
        "reserve_percent": 5,
        "copies_per_day": 24,
        "senders": {"pve1": key},
    }
    config = Config(root=root, keys_folder=state / "keys", **(values | settings))
    seal.recover(config)
    return Vault(config, state)
