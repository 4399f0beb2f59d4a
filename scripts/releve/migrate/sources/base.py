"""What a migration asks of the old host, whatever that is: one guest of it, as a `Source`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

QEMU_FOLDER = "/var/lib/libvirt/qemu"
Rung = Literal["bitmaps", "hash-delta", "cold"]
Mark = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """One disk: its name for the guest's definition, QEMU's alias, format and file."""

    name: str
    alias: str
    format: str
    file: str


@dataclass(frozen=True, slots=True)
class SourceGuest:
    """What the old host says of a guest. `owner` is the numeric user that its QEMU runs as."""

    name: str
    uuid: str
    id: int | None
    state: str
    autostart: bool
    managed_save: bool
    snapshots: tuple[str, ...]
    definition: str
    disks: tuple[SourceDisk, ...]
    macs: tuple[str, ...]
    nvram: str | None
    devices: tuple[str, ...]
    owner: int | None

    @property
    def running(self) -> bool:
        """Whether the guest works now."""
        return self.state == "running"

    @property
    def monitor(self) -> str:
        """The path of QEMU's monitor socket on a libvirt host."""
        # libvirt cuts the name in this path after 20 characters
        return f"{QEMU_FOLDER}/domain-{self.id}-{self.name[:20]}/monitor.sock"


class Source(Protocol):
    """One guest at its old host. Every method may be called again after a crash of anybody.

    `label` names a run and its epoch; `number` counts the rounds of an epoch from 1.
    """

    @property
    def rung(self) -> Rung:
        """How its bytes are read.

        bitmaps: while it works, then only what changed. hash-delta: read once before the stop
        (from a frozen snapshot, or as it rests), compared by hashes after it. cold: after it.
        """

    @property
    def host(self) -> str:
        """The old host's name, for sentences."""

    def look(self) -> SourceGuest | None:
        """Return the guest as it is now; None when the host does not know it (any more)."""

    def ready(self, label: str, number: int) -> bool:
        """Serve the disks, and clear what other runs and epochs left.

        Return whether all that was written since round `number - 1` is known: else the caller
        calls `begin` and compares everything again. A rung without bitmaps returns False.
        """

    def begin(self, label: str) -> None:
        """Begin to record writes, of all disks from one instant on."""

    def sizes(self) -> dict[str, int]:
        """Return the size of each disk as the guest sees it, in bytes."""

    def rotate(self, number: int) -> None:
        """Freeze what round `number` is to move, of all disks at one instant."""

    def dirty(self) -> int | None:
        """Return how many bytes were written since the last `begin` or `rotate`; None: unknown."""

    def bitmap(self, number: int) -> str:
        """Return the name of a round's bitmap, as its NBD export offers it."""

    def uri(self, disk: str, number: int | None = None) -> str:
        """Offer one disk, with the bitmap of round `number`; return its NBD address at the node."""

    def withdraw(self, disk: str) -> None:
        """Offer that disk no more."""

    def drop(self, number: int) -> None:
        """Forget the bitmap of a round that is done."""

    def power_off(self, seconds: int) -> None:
        """Let the guest power off for real, and go on serving what it left.

        Raises PowerButtonError when it does not within `seconds`: it goes on at its source.
        """

    def hashes(self, disk: str) -> Iterator[bytes] | None:
        """Yield the SHA-256 of each block, read at the source; None when it cannot hash."""

    def firmware(self) -> bytes | None:
        """Return the EFI variables of the guest, which is off; None for a guest without."""

    def release(self) -> None:
        """End what `power_off` keeps alive: the guest is off and stays off."""

    def mark(self) -> Mark:
        """Return what `fence` and `unfence` must know; the caller journals it before the stop."""

    def fence(self, mark: Mark) -> None:
        """Keep the guest, which is off, from starting by accident."""

    def fenced(self, mark: Mark) -> bool:
        """Say whether it cannot start by accident, and does not run."""

    def unfence(self, mark: Mark) -> None:
        """Make it as it was, word for word; it is not started."""

    def start(self) -> str | None:
        """Let it work at its source again, whatever `power_off` holds; a running one is no fault.

        The caller has taken the fence away. Where only a person can start it, say what and where.
        """

    def at_rest(self, mark: Mark) -> None:
        """Serve the disks of the guest, which is off and fenced, for `uri` to offer read-only."""

    def close(self) -> None:
        """Leave no trace at the old host nor at the node: no export, bitmap, key, tunnel."""
