"""What preflight checks look at: read once, by `collect*`, and never changed. Sizes in bytes.

None always means that it could not be read; a check then says so and does not guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.blocks.schedule import NO_LIMIT, Schedule
from releve.town.at_source import name_at_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.migrate.preflight.windows import SystemDisk
    from releve.migrate.sources.domain import Domain
    from releve.town import Town
    from releve.town.model import Guest


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a disk's chain, the top first; `backing` is written in it as it stands."""

    file: str
    format: str
    size: int
    allocated: int | None = None
    backing: str | None = None
    encrypted: bool = False
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """One disk at the source. `users` are other guests of that host which name the same file.

    `flat`: what the guest sees lies byte for byte in one file; `hashed`: its host can hash that;
    `frozen`: the older state of it that can be read while the guest works, "" for none.
    """

    name: str
    bus: str
    format: str
    file: str
    layers: tuple[Layer, ...] = ()
    error: str = ""
    cache: str | None = None
    shareable: bool = False
    readonly: bool = False
    users: tuple[str, ...] = ()
    written: int | None = None  # bytes a second that the guest writes now
    flat: bool = False
    hashed: bool = True  # dd and sha256sum are nearly everywhere
    frozen: str = ""

    @property
    def size(self) -> int | None:
        """As the guest sees it."""
        return self.layers[0].size if self.layers else None

    @property
    def allocated(self) -> int | None:
        """What the whole chain takes; None when a layer does not tell."""
        sizes = [layer.allocated for layer in self.layers if layer.allocated is not None]
        return sum(sizes) if sizes and len(sizes) == len(self.layers) else None


@dataclass(frozen=True, slots=True)
class Inside:
    """What the guest's agent tells of the system; `files` holds text files that were read."""

    os: str = ""
    os_id: str = ""
    version: str = ""
    kernel: str = ""
    interfaces: tuple[tuple[str, str], ...] = ()  # (name, MAC)
    free: Mapping[str, int] = field(default_factory=dict)  # mount point -> bytes free
    uuids: Mapping[str, str] = field(default_factory=dict)  # device -> UUID
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def windows(self) -> bool:
        """Whether it is a Windows."""
        return "windows" in f"{self.os_id} {self.os}".lower()


@dataclass(frozen=True, slots=True)
class Firmware:
    """A guest's EFI variables at the source; `size` None when the file cannot be read."""

    file: str
    size: int | None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One guest as its old host has it now.

    `rung` is how its source reads it; `whole` is False when only a part of it was told, `files`
    True when there is nothing but the files of its disks.
    """

    state: str
    uuid: str = ""
    macs: tuple[str, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    devices: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    saved: bool = False
    autostart: bool = False
    lock: str = ""
    acpi: bool = True
    qemu: tuple[int, int] | None = None
    monitor_error: str = ""
    jobs: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    bitmaps: tuple[str, ...] = ()
    firmware: Firmware | None = None
    agent: bool | None = None
    inside: Inside | None = None
    domain: Domain | None = None
    systems: tuple[SystemDisk, ...] = ()  # what lies on its disks, read from outside
    rung: str = "bitmaps"
    whole: bool = True
    files: bool = False

    @property
    def running(self) -> bool:
        """Whether the guest works now."""
        return self.state == "running"

    @property
    def quiet(self) -> str:
        """Why no QEMU is asked about it, "" when its QEMU is."""
        if self.files:
            return "its files are read, no QEMU is asked"
        return "" if self.running else "the guest is off"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of a host: bytes of its largest frame, and `up` or `down` as the kernel says."""

    mtu: int
    state: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What holds for an old host or a node, whatever guest is meant; `error` when it is mute."""

    host: str
    error: str = ""
    clock: float | None = None  # seconds that it is ahead of this workstation
    clock_error: float = 0  # within so many seconds
    memory_available: int | None = None
    cpu_flags: frozenset[str] = frozenset()
    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    disk_errors: tuple[str, ...] | None = None
    degraded: tuple[str, ...] = ()
    filesystem_errors: tuple[str, ...] | None = None
    forwarding: str | None = None
    busy: tuple[str, ...] | None = None
    libnbd: str | None = None
    sshfs: str | None = None
    ups: Mapping[str, str] = field(default_factory=dict)
    macs: Mapping[str, str] | None = None  # MAC -> guest file that has it
    volumes: Mapping[str, str] = field(default_factory=dict)  # volume -> guest file naming it
    neighbours: Mapping[str, str] = field(default_factory=dict)  # address -> MAC that answers
    thin_pools: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # % data, meta


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """A storage of the node; `volumes` are those with a number that the plan wants."""

    type: str
    content: tuple[str, ...]
    active: bool
    free: int
    volumes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Present:
    """A guest that the node has already; `run` is the migration that made it, "" for others."""

    name: str
    run: str


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What a node's API tells to the migration's token; `error` when it does not."""

    error: str = ""
    version: str = ""
    guests: Mapping[int, Present] = field(default_factory=dict)
    storages: Mapping[str, StorageFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PathFacts:
    """The way from the old host to the node; rates in bytes a second, None: not measured."""

    pinned: Mapping[str, bool] = field(default_factory=dict)
    rate: float | None = None
    read_rate: float | None = None
    mtu: bool | None = None  # whether a frame of the bridge's full size passes


@dataclass(frozen=True, slots=True)
class Copies:
    """What the evidence says of copies: when the newest one of the guest was made, if any."""

    newest: str | None = None
    age_hours: float | None = None
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """The other guests that a plan moves: what they take of the node while this one moves too."""

    disks: Mapping[str, int] = field(default_factory=dict)  # storage -> bytes, this guest included
    memory: int = 0  # bytes, this guest included


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one guest's move. `runs` are the migrations that we made of it."""

    town: Town
    name: str
    old: HostFacts
    node: HostFacts
    api: ApiFacts
    path: PathFacts = PathFacts()
    source: SourceFacts | None = None
    source_error: str = ""
    together: Together = Together()
    runs: frozenset[str] = frozenset()
    copies: Copies = Copies()
    prepared: Mapping[str, str] = field(default_factory=dict)  # check -> what was seen inside
    window: float | None = None  # seconds that the cutover and a way back may take
    downtime: float | None = None  # seconds, as forecast
    seed: float | None = None  # seconds, as forecast
    bandwidth: Schedule = NO_LIMIT  # of the seed

    @property
    def guest(self) -> Guest:
        """The guest as the town file has it."""
        return self.town.guests[self.name]

    @property
    def seen(self) -> SourceFacts:
        """The guest at its source; only for checks that need it there."""
        if self.source is None:
            message = f"{self.name}: nothing was read at its source"
            raise LookupError(message)
        return self.source

    @property
    def seen_name(self) -> str:
        """By what its old host knows it."""
        return name_at_source(self.town, self.name)
