"""What a survey knows of one guest, whatever the old host is."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps a guest from being moved as it is; `id` is stable, `text` says why."""

    id: str
    text: str

    def __post_init__(self) -> None:
        """Keep both on one line: they may hold words of a file that anybody wrote."""
        object.__setattr__(self, "id", re.sub(r"[^\w.+-]+", "-", self.id)[:80])
        object.__setattr__(self, "text", " ".join(self.text.split()))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a guest and its fate: mapped, replaced, dropped (and said), or blocked."""

    what: str
    fate: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class DiskFound:
    """One hard disk: `source` is a path or a volume on the old host, None when there is none.

    `size` is in bytes and None where the definition does not say it. `serial` and `wwn` are what
    the guest reads from the disk; `wwn` is hexadecimal without 0x. `controller` is the model of
    what the disk hangs on, in the old host's words.
    """

    target: str
    bus: str
    type: str
    source: str | None
    format: str | None
    readonly: bool = False
    serial: str | None = None
    wwn: str | None = None
    vendor: str | None = None
    product: str | None = None
    controller: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NicFound:
    """One network card; `source` is a bridge, a network or a device, as `type` says.

    `model` is in PVE's words where PVE has it. `linked` is False when its cable is out.
    """

    type: str
    mac: str | None
    model: str
    source: str | None
    vlans: tuple[int, ...] = ()
    linked: bool = True


@dataclass(frozen=True, slots=True)
class Smbios:
    """What a guest reads of its maker (DMI type 1); None: not set, so the hypervisor's default."""

    uuid: str | None = None
    manufacturer: str | None = None
    product: str | None = None
    version: str | None = None
    serial: str | None = None
    sku: str | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor that a guest sees.

    `model` is QEMU's name of it, `host` for the old host's own, `host-model` for the named model
    that is nearest to it, None when the definition says nothing. `flags` are "+aes" or "-pcid".
    """

    model: str | None = None
    flags: tuple[str, ...] = ()
    sockets: int = 1
    cores: int = 1
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Tpm:
    """A guest's TPM; `version` is 1.2 or 2.0, `state` where its state is kept, if that is told."""

    version: str = "2.0"
    model: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What licences, domain controllers and boot loaders look at, as the guest sees it now.

    `clock` is utc or localtime; `vmgenid` a UUID, None without one. `os` is the kind of system in
    PVE's words (l26, win10, ...), None when nothing tells it. `scsi_controller` is in PVE's words.
    """

    smbios: Smbios = Smbios()
    cpu: Cpu = Cpu()
    vmgenid: str | None = None
    clock: str = "utc"
    tpm: Tpm | None = None
    os: str | None = None
    scsi_controller: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """One guest as its definition says; memory in KiB, `cpus` as started.

    `machine` is the whole name with its version, as the old host says it (pc-q35-7.2).
    """

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
    identity: Identity = Identity()
    notes: tuple[str, ...] = ()

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

    def fingerprint(self) -> dict[str, str]:
        """Return all that identifies the guest to its own software as flat, comparable values.

        What the definition does not set is not there. Disks and cards are numbered in their
        order, since their names are the old host's.
        """
        identity = self.identity
        said: dict[str, object] = {
            "machine": self.machine,
            "firmware": self.firmware,
            "secure-boot": self.secure_boot,
            "clock": identity.clock,
            "vmgenid": identity.vmgenid,
            "scsi-controller": identity.scsi_controller,
            "tpm.version": identity.tpm.version if identity.tpm else None,
            **dict(_flat("smbios", identity.smbios)),
            **dict(_flat("cpu", identity.cpu)),
        }
        for number, disk in enumerate(self.disks):
            shown = {"bus": disk.bus, "serial": disk.serial, "wwn": disk.wwn}
            said |= {f"disk.{number}.{key}": value for key, value in shown.items()}
        for number, nic in enumerate(self.nics):
            said |= {f"nic.{number}.mac": nic.mac, f"nic.{number}.model": nic.model}
        return {key: str(value) for key, value in said.items() if value not in {None, ""}}


def unreadable(name: str, hypervisor: str, sentence: str) -> Domain:
    """Return a guest of which no more is known than its name and why it cannot be read."""
    return Domain(
        name=name,
        uuid=None,
        hypervisor=hypervisor,
        arch="x86_64",
        machine=None,
        firmware="bios",
        secure_boot=False,
        loader=None,
        nvram=None,
        memory_kib=0,
        cpus=1,
        cpus_max=1,
        clock="utc",
        acpi=True,
        agent=True,
        disks=(),
        nics=(),
        parts=(),
        blockers=(Blocker("file-invalid", sentence),),
    )


def _flat(prefix: str, values: Smbios | Cpu) -> Iterator[tuple[str, Any]]:
    for one in fields(values):
        value = getattr(values, one.name)
        yield f"{prefix}.{one.name}", ",".join(value) if isinstance(value, tuple) else value
