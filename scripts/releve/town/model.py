"""What a town file may say. Meanings and units of each key; anything else is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
MAC_PATTERN = r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"


def _unicast(mac: str) -> str:
    if int(mac[:2], 16) & 1:
        message = "a network card's address is never a multicast one (first octet must be even)"
        raise ValueError(message)
    return mac


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Mac = Annotated[str, Field(pattern=MAC_PATTERN), AfterValidator(_unicast)]
Seconds = Annotated[int, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(gt=0, lt=65_536)]


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


class Section(BaseModel):
    """Base of all sections: no unknown key, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TownSection(Section):
    """Who the town is."""

    name: str = Field(min_length=1, description="As the council reads it.")
    domain: str = Field(min_length=1, description="DNS domain of the hosts.")
    timezone: str = Field(default="Europe/Brussels", description="IANA name.")
    language: Literal["fr", "en"] = Field(default="fr", description="Of reports.")


class Ssh(Section):
    """How the workstation logs in to the hosts."""

    user: str = "root"
    identity_file: Path | None = Field(default=None, description="Relative to the town file.")
    known_hosts_file: Path | None = Field(default=None, description="Relative to the town file.")


class PveApi(Section):
    """How the workstation trusts the nodes' API."""

    ca_file: Path | None = Field(
        default=None, description="Authority of their certificates, relative to the town file."
    )


class Network(Section):
    """One IPv4 network and the bridge that guests use for it."""

    cidr: IPv4Network
    bridge: str = Field(pattern=r"^[a-z][a-z0-9]{0,14}$")


class Host(Section):
    """One machine that is not a guest."""

    kind: Literal["old", "node", "bay", "vault"] = Field(
        description="old: to be left; node: Proxmox VE; bay: disks on the network; vault: copies."
    )
    address: IPv4Address
    network: Name
    hypervisor: Literal["libvirt", "pve"] | None = Field(
        default=None, description="Of an old host."
    )
    mac: Mac | None = Field(default=None, description="For Wake-on-LAN.")
    stop_seconds: Seconds = Field(default=60, description="Time to halt, its guests stopped.")


class Storage(Section):
    """One storage of a node, as Proxmox VE knows it."""

    host: Name
    type: Literal["dir"]
    path: Path
    content: tuple[Literal["images", "iso", "backup", "import", "snippets", "vztmpl"], ...]


class Nic(Section):
    """One network card of a guest."""

    mac: Mac
    network: Name
    address: IPv4Address | None = None
    model: NicModel = "virtio"


class Disk(Section):
    """One disk of a guest, as it is at the source."""

    name: str = Field(pattern=r"^[a-z]{2,5}[0-9]*$", description="Device name at the source.")
    format: Literal["raw", "qcow2", "vmdk", "vpc", "vhdx"]
    size_mib: int = Field(gt=0)
    bus: Literal["virtio", "scsi", "sata", "ide"] = "virtio"


class Witness(Section):
    """A TCP port of the guest that answers with a value which a copy must reproduce."""

    port: Port


class Guest(Section):
    """One virtual machine: where it is, where it goes, and how it stops."""

    vmid: int = Field(ge=100, le=999_999_999)
    source: Name = Field(description="Host it comes from.")
    source_name: str | None = Field(
        default=None, min_length=1, description="Its name there, when that is another one."
    )
    target: Name = Field(description="Node it goes to.")
    storage: Name = Field(description="Of its volumes on the target.")
    pool: Name | None = Field(default=None, description="PVE pool that its rights hang on.")
    firmware: Literal["bios", "uefi"]
    machine: Literal["q35", "pc"] = "q35"
    memory_mib: int = Field(gt=0)
    cpus: int = Field(default=1, gt=0)
    autostart: bool = True
    stop_seconds: Seconds = Field(default=180, description="From power button to off.")
    needs: tuple[Name, ...] = Field(default=(), description="Guests that must outlive it.")
    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = Field(min_length=1)
    witness: Witness | None = None


class Ups(Section):
    """One UPS and whom it feeds."""

    host: Name = Field(description="That has its cable: the primary.")
    driver: str = Field(pattern=r"^[a-z0-9_-]+$", description="NUT driver.")
    port: str = "auto"
    mode: Literal["stock"] = "stock"
    capacity_seconds: Seconds = Field(description="Runtime measured by a discharge test.")
    clients: tuple[Name, ...] = Field(default=(), description="Secondaries.")


class Vault(Section):
    """Where copies are kept and who may bring some."""

    host: Name
    path: Path
    lock_days: int = Field(gt=0, description="No copy can be removed before so many days.")
    senders: tuple[Name, ...] = Field(min_length=1)


class Person(Section):
    """Somebody to call."""

    name: str
    email: str | None = None
    phone: str | None = None


class Town(Section):
    """A whole town file; `file` is where it was read from."""

    plugin: Literal["releve_town"] = Field(
        description="Keeps Ansible's YAML plugin from taking the file when ours refuses it."
    )
    town: TownSection
    ssh: Ssh = Ssh()
    pve: PveApi = PveApi()
    networks: dict[Name, Network] = Field(min_length=1)
    hosts: dict[Name, Host] = Field(min_length=1)
    storage: dict[Name, Storage] = {}
    guests: dict[Name, Guest] = {}
    ups: dict[Name, Ups] = {}
    vault: Vault | None = None
    people: dict[Name, Person] = {}
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

    def path(self, relative: Path) -> Path:
        """Return a path of the town file as an absolute one."""
        return (self.folder / relative).resolve()

    def hosts_of(self, *kinds: str) -> dict[str, Host]:
        """Return the hosts of the given kinds, in the file's order."""
        return {name: host for name, host in self.hosts.items() if host.kind in kinds}
