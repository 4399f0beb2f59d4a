"""What a survey knows of one guest, whatever the old host is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps a guest from being moved as it is; `id` is stable, `text` says why."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a guest and its fate: mapped, replaced, dropped (and said), or blocked."""

    what: str
    fate: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class DiskFound:
    """One hard disk: `source` is a path on the old host, None when there is none there."""

    target: str
    bus: str
    type: str
    source: str | None
    format: str | None
    readonly: bool = False
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class NicFound:
    """One network card; `source` is a bridge, a libvirt network or a device, as `type` says."""

    type: str
    mac: str | None
    model: str
    source: str | None
    vlans: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """One guest as its definition says; memory in KiB, `cpus` as started."""

    name: str
    uuid: str | None
    hypervisor: str
    arch: str
    machine: str | None
    firmware: str
    secure_boot: bool
    loader: str | None
    nvram: str | None
    memory_kib: int
    cpus: int
    cpus_max: int
    clock: str
    acpi: bool
    agent: bool
    disks: tuple[DiskFound, ...]
    nics: tuple[NicFound, ...]
    parts: tuple[Part, ...]
    blockers: tuple[Blocker, ...]

    @property
    def chipset(self) -> str:
        """The machine as the town file names it."""
        return "q35" if "q35" in (self.machine or "") else "pc"

    @property
    def memory_mib(self) -> int:
        """The memory in MiB, rounded up: a guest never gets less than it had."""
        return -(-self.memory_kib // 1024)

    @property
    def unknown(self) -> tuple[Part, ...]:
        """Parts that the survey does not know at all."""
        return tuple(part for part in self.parts if part.fate == "unknown")
