"""What a town file may say. Meanings and units of each key; anything else is refused."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, PrivateAttr

from releve.power.measurement import Measurement
from releve.town.fields import Bandwidth, Mac, Name, Port, Seconds, Section
from releve.town.power import Ups
from releve.town.site import Host, Network
from releve.town.stops import Stops

# Models of network cards that Proxmox VE has.
NicModel = Literal[
    "virtio",
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "vmxnet3",
]


# Kinds of guest system and models of SCSI controllers that Proxmox VE has.
OsKind = Literal[
    "l24",
    "l26",
    "other",
    "solaris",
    "w2k",
    "w2k3",
    "w2k8",
    "win10",
    "win11",
    "win7",
    "win8",
    "wvista",
    "wxp",
]
ScsiModel = Literal[
    "lsi", "lsi53c810", "megasas", "pvscsi", "virtio-scsi-pci", "virtio-scsi-single"
]


class TownSection(Section):
    """Who the town is."""

    name: str = Field(min_length=1, description="As the council reads it.")
    domain: str = Field(min_length=1, description="DNS domain of the hosts.")
    timezone: str = Field(default="Europe/Brussels", description="IANA name.")
    language: Literal["fr", "en"] = Field(default="fr", description="Of reports.")


class Ssh(Section):
    """How the workstation logs in to the hosts."""

    user: str = Field(default="root", description="Who logs in, by key.")
    identity_file: Path | None = Field(
        default=None, description="Private key, relative to the town file; else ssh's own."
    )
    known_hosts_file: Path | None = Field(
        default=None, description="Host keys, relative to the town file; else ssh's own."
    )


class PveApi(Section):
    """How the workstation trusts the nodes' API."""

    ca_file: Path | None = Field(
        default=None, description="Authority of their certificates, relative to the town file."
    )


class Storage(Section):
    """One storage of a node, as Proxmox VE knows it."""

    host: Name = Field(description="Node that has it.")
    type: Literal["dir"] = Field(description="dir: a folder with one file per volume.")
    path: Path = Field(description="The folder, absolute.")
    content: tuple[Literal["images", "iso", "backup", "import", "snippets", "vztmpl"], ...] = Field(
        description="What PVE may put there."
    )
    server: Name | None = Field(
        default=None,
        description=(
            "Host whose share is mounted at the path; left out: disks of the node's own. Guests'"
            " disks on a host that stops before the node are refused."
        ),
    )


class Nic(Section):
    """One network card of a guest."""

    mac: Mac = Field(description="Kept when the guest moves.")
    network: Name = Field(description="Which of `networks` it hangs on.")
    address: IPv4Address | None = Field(
        default=None, description="Set inside the guest; used to ask it how it is."
    )
    model: NicModel = Field(default="virtio", description="As the guest sees it.")
    vlan: int | None = Field(
        default=None, ge=1, le=4094, description="Tag that the bridge puts on its frames."
    )


ImageFormat = Literal["raw", "qcow2", "vmdk", "vpc", "vhdx"]


class Frozen(Section):
    """An older state of a disk that nothing writes to: read while the guest still works."""

    file: Path = Field(description="Absolute, at the source: a snapshot, its base, or a copy.")
    format: ImageFormat | None = Field(default=None, description="When it is not the disk's.")


class Disk(Section):
    """One disk of a guest, as it is at the source."""

    name: str = Field(
        pattern=r"^[a-z]{2,8}[0-9]*(-[0-9]+)?$", description="Device or slot at the source."
    )
    format: ImageFormat = Field(description="Of the file or device at the source.")
    file: Path | None = Field(
        default=None,
        description="Absolute, at the source: read as the file of a stopped guest. All or none.",
    )
    frozen: Frozen | None = Field(
        default=None, description="What is copied of `file` before the guest stops. All or none."
    )
    size_mib: int = Field(gt=0, description="As the guest sees it, in MiB, rounded up.")
    bus: Literal["virtio", "scsi", "sata", "ide"] = Field(
        default="virtio", description="As the guest sees it."
    )
    serial: str | None = Field(
        default=None, min_length=1, max_length=60, description="As the guest reads it."
    )
    wwn: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{16}$", description="As the guest reads it; scsi only."
    )


class Smbios(Section):
    """What a guest reads of its maker; licences hang on it. Left out: the hypervisor's default."""

    uuid: UUID | None = Field(default=None, description="Of the machine.")
    manufacturer: str | None = Field(default=None, min_length=1, description="Its maker.")
    product: str | None = Field(default=None, min_length=1, description="Its model.")
    version: str | None = Field(default=None, min_length=1, description="Of the product.")
    serial: str | None = Field(default=None, min_length=1, description="Its serial number.")
    sku: str | None = Field(default=None, min_length=1, description="Its order number.")
    family: str | None = Field(default=None, min_length=1, description="Its product line.")


class Witness(Section):
    """A TCP port of the guest that answers with a value which a copy must reproduce."""

    port: Port = Field(description="TCP port on the guest's first address.")


class Health(Section):
    """What a guest must do again on its new node before its move counts as done."""

    tcp: tuple[Port, ...] = Field(default=(), description="Ports that take a connection.")
    http: tuple[Annotated[str, Field(pattern=r"^https?://\S+$")], ...] = Field(
        default=(), description="Pages that are served without an error."
    )
    agent: bool = Field(
        default=False,
        description="Its QEMU agent answers; until it does, the cables stay out.",
    )
    seconds: Seconds = Field(default=120, description="From its start until all of it is true.")


class Guest(Section):
    """One virtual machine: where it is, where it goes, and how it stops."""

    vmid: int = Field(ge=100, le=999_999_999, description="Its number in Proxmox VE.")
    source: Name = Field(description="Host it comes from.")
    source_name: str | None = Field(
        default=None, min_length=1, description="Its name there (Proxmox VE: number), if another."
    )
    target: Name = Field(description="Node it goes to.")
    storage: Name = Field(description="Of its volumes on the target.")
    pool: Name | None = Field(default=None, description="PVE pool that its rights hang on.")
    firmware: Literal["bios", "uefi"] = Field(description="What it boots by.")
    machine: Literal["q35", "pc"] = Field(default="q35", description="Chipset it sees.")
    machine_version: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d+)+(\+pve\d+)?$",
        description="Of the chipset, such as 7.2; else the node's newest.",
    )
    smbios: Smbios = Field(default=Smbios(), description="What it reads of its maker.")
    vmgenid: UUID | None = Field(
        default=None, description="Its generation; domain controllers look at it. Else a new one."
    )
    cpu: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][\w.-]*(,flags=[+-][\w.-]+(;[+-][\w.-]+)*)?$",
        description="Processor in PVE's words, such as `host` or `Haswell,flags=-pcid`.",
    )
    clock: Literal["utc", "localtime"] = Field(
        default="utc", description="What its hardware clock shows."
    )
    tpm: Literal["1.2", "2.0"] | None = Field(default=None, description="Version of its TPM.")
    os: OsKind = Field(default="l26", description="Kind of system, in PVE's words.")
    scsi_controller: ScsiModel = Field(
        default="virtio-scsi-single", description="What its disks of bus scsi hang on."
    )
    memory_mib: int = Field(gt=0, description="RAM in MiB.")
    cpus: int = Field(default=1, gt=0, description="Processors it starts with.")
    sockets: int = Field(default=1, gt=0, description="Over which the processors are spread.")
    autostart: bool = Field(default=True, description="Whether it starts with its host.")
    stop_seconds: Seconds = Field(default=180, description="From power button to off.")
    needs: tuple[Name, ...] = Field(default=(), description="Guests that must outlive it.")
    nics: tuple[Nic, ...] = Field(default=(), description="Its network cards, in order.")
    disks: tuple[Disk, ...] = Field(min_length=1, description="Its disks, the boot disk first.")
    witness: Witness | None = Field(default=None, description="How to ask it what it holds.")
    health: Health = Field(default=Health(), description="What shows that it works.")
    login: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        description="Who logs in to it by ssh, at its first card's address: root, or somebody with"
        " sudo. For `releve migrate prepare`; else that is done at its console.",
    )
    application: str | None = Field(
        default=None, min_length=1, description="What people use it for, in their words."
    )
    tested_by: tuple[Name, ...] = Field(
        default=(), description="Which of `people` try it after the move."
    )
    waive: dict[str, str] = Field(
        default={}, description="Checks of the plan whose risk is taken, each with the reason."
    )


class Migrate(Section):
    """How guests are moved off the old hosts."""

    parallel: int = Field(default=2, gt=0, description="Guests copied from one old host at once.")
    bandwidth: Bandwidth = Field(
        default="0",
        description=(
            "What all copies may take of one old host's line, in MiB/s: a number (0: all of it),"
            " or by the hours of the week in the town's time zone:"
            " `mo-fr 08:00-18:00 20; sa 20:00-02:00 pause` (see how to move guests)."
        ),
    )
    soak_days: int = Field(
        default=7, ge=0, description="From a move until its source may be retired."
    )


class Vault(Section):
    """Where copies are kept and who may bring some."""

    host: Name = Field(description="Of kind vault.")
    path: Path = Field(description="Folder of the copies there, absolute.")
    lock_days: int = Field(gt=0, description="No copy can be removed before so many days.")
    senders: tuple[Name, ...] = Field(min_length=1, description="Hosts that may bring copies.")


class Person(Section):
    """Somebody to call."""

    name: str = Field(description="As one addresses them.")
    email: str | None = Field(default=None, description="For what can wait.")
    phone: str | None = Field(default=None, description="For what cannot.")


class Town(Section):
    """A whole town file; `file` is where it was read from."""

    plugin: Literal["releve_town"] = Field(
        description="Keeps Ansible's YAML plugin from taking the file when ours refuses it."
    )
    town: TownSection = Field(description="Who the town is.")
    ssh: Ssh = Field(default=Ssh(), description="How to log in to hosts.")
    pve: PveApi = Field(default=PveApi(), description="How to trust the nodes' API.")
    networks: dict[Name, Network] = Field(min_length=1, description="Networks by name.")
    hosts: dict[Name, Host] = Field(min_length=1, description="Hosts by name.")
    storage: dict[Name, Storage] = Field(default={}, description="Storages by name.")
    guests: dict[Name, Guest] = Field(default={}, description="Guests by name.")
    migrate: Migrate = Field(default=Migrate(), description="How guests are moved.")
    ups: dict[Name, Ups] = Field(default={}, description="UPSes by NUT name.")
    vault: Vault | None = Field(default=None, description="Where copies go.")
    people: dict[Name, Person] = Field(default={}, description="Whom to call, by role.")
    _file: Path = PrivateAttr(default=Path())

    @property
    def file(self) -> Path:
        """The town file, absolute."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder of the town file."""
        return self._file.parent

    @property
    def secrets_file(self) -> Path:
        """Where this town's secrets are, encrypted by ansible-vault."""
        return self.folder / "group_vars" / "all" / "secrets.yml"

    def secondaries(self, ups: str) -> tuple[str, ...]:
        """Return the clients of a UPS that log in at its host; the others are never seen there."""
        return tuple(one for one in self.ups[ups].clients if self.hosts[one].system == "linux")

    def capacity_of(self, ups: str) -> int | None:
        """Return the measured runtime in seconds; None: the UPS is being commissioned."""
        record = self.measured(ups)
        return self.ups[ups].capacity_seconds or (record.capacity_seconds if record else None)

    def measured(self, ups: str) -> Measurement | None:
        """Return what was measured of a UPS; raises InputError for a record that is not sound."""
        file = self.folder / "measured" / f"{ups}.json"
        return Measurement.read(file) if file.exists() else None

    def stops(self, host: str) -> Stops:
        """Return what stops took on a host; raises InputError for a file that is not sound."""
        return Stops.read(self.folder, host)

    def path(self, relative: Path) -> Path:
        """Return a path of the town file as an absolute one."""
        return (self.folder / relative).resolve()

    def hosts_of(self, *kinds: str) -> dict[str, Host]:
        """Return the hosts of the given kinds, in the file's order."""
        return {name: host for name, host in self.hosts.items() if host.kind in kinds}
