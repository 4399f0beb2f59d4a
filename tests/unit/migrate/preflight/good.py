"""A guest with nothing in its way, and how to break one thing of it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from releve.migrate.preflight.facts import (
    ApiFacts,
    Bridge,
    Copies,
    DiskFacts,
    Facts,
    HostFacts,
    Inside,
    Layer,
    PathFacts,
    SourceFacts,
    StorageFacts,
    Together,
)
from releve.migrate.preflight.windows import SystemDisk
from releve.migrate.sources.libvirt import parse_domain
from releve.town import load_town
from releve.town.model import Smbios

if TYPE_CHECKING:
    from releve.town import Town

LAB = Path(__file__).parents[4] / "inventory" / "lab"
MIB = 1 << 20
SIZE = 192 * MIB
FILE = "/var/lib/libvirt/images/compta.raw"
MAC = "52:54:00:91:00:01"
FLAGS = frozenset({"sse4_2", "popcnt", "aes", "avx2"})
TCP = """\
  sl  local_address rem_address   st
   0: 00000000:1B58 00000000:0000 0A
   1: 0100007F:0016 00000000:0000 0A
"""


MACHINE = "6f3b8a52-0000-4000-8000-000000000101"
GENERATION = "11111111-2222-4333-8444-555555555555"
DOMAIN = f"""<domain type='kvm'><name>compta</name><uuid>{MACHINE}</uuid>
<genid>{GENERATION}</genid><memory unit='MiB'>256</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>
<cpu mode='host-passthrough'/><clock offset='utc'/>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{FILE}'/>
<target dev='vda' bus='virtio'/></disk><interface type='bridge'><mac address='{MAC}'/>
<source bridge='br0'/><model type='virtio'/></interface></devices></domain>"""
# What the town file of a guest says that keeps all that it sees.
KEPT = {
    "machine_version": "7.2",
    "smbios": Smbios.model_validate({"uuid": MACHINE}),
    "vmgenid": UUID(GENERATION),
    "cpu": "host",
}


def source() -> SourceFacts:
    """Return compta as its old host should have it."""
    disk = DiskFacts(
        "vda", "virtio", "raw", FILE, (Layer(FILE, "raw", SIZE, 60 * MIB),), written=40_000
    )
    inside = Inside(
        os="Debian GNU/Linux 12",
        os_id="debian",
        kernel="6.1.0-40-amd64",
        interfaces=(("lo", "00:00:00:00:00:00"), ("eth0", MAC)),
        free={"/": 900 * MIB},
        files={"/etc/fstab": "UUID=1 / ext4 defaults 0 1\n", "/proc/net/tcp": TCP},
    )
    return SourceFacts(
        state="running",
        uuid="6f3b",
        macs=(MAC,),
        disks=(disk,),
        devices=("disk", "interface"),
        autostart=True,
        qemu=(7, 2),
        domain=parse_domain(DOMAIN, "compta"),
        systems=(SystemDisk("vda", "gpt"),),
        agent=True,
        inside=inside,
    )


def town(**guest: Any) -> Town:
    """Return the lab's town, with keys of guest compta changed."""
    whole = load_town(LAB)
    changed = whole.guests["compta"].model_copy(update={**KEPT, **guest})
    copy = whole.model_copy(update={"guests": {**whole.guests, "compta": changed}})
    copy._file = whole.file
    return copy


def good() -> Facts:
    """Return facts that every check passes."""
    bridges = {"br0": Bridge(1500, "up")}
    storage = StorageFacts("dir", ("images",), active=True, free=50_000 * MIB, volumes={101: ()})
    return Facts(
        town=town(),
        name="compta",
        old=HostFacts(
            "old",
            clock=0.1,
            clock_error=0.2,
            memory_available=900 * MIB,
            cpu_flags=FLAGS,
            bridges=bridges,
            disk_errors=(),
            filesystem_errors=(),
            forwarding="yes all",
        ),
        node=HostFacts(
            "pve1",
            clock=-0.1,
            clock_error=0.2,
            memory_available=9000 * MIB,
            cpu_flags=FLAGS | {"avx512f"},
            bridges=bridges,
            busy=(),
            libnbd="1.22",
            sshfs="SSHFS version 3.7.3",
            ups={"ups1": "OL"},
            macs={},
            neighbours={"198.51.100.21": MAC},
        ),
        api=ApiFacts("", "9.0.3", {}, {"vmdata": storage}),
        path=PathFacts(
            {"old": True, "pve1": True}, rate=110.0 * MIB, read_rate=400.0 * MIB, mtu=True
        ),
        source=source(),
        together=Together({"vmdata": 2 * SIZE}, 512 * MIB),
        copies=Copies("2026-11-25T03:00:00Z", 5.0, restored=True),
        window=4 * 3600.0,
        downtime=60.0,
        seed=600.0,
    )


def broken(place: str, value: Any, facts: Facts | None = None) -> Facts:
    """Return facts with one value changed, `source.disks.0.cache` for example."""
    changed: Facts = _set(facts or good(), place.split("."), value)
    return changed


def _set(thing: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(thing, tuple):
        number = int(head)
        return (*thing[:number], _set(thing[number], rest, value), *thing[number + 1 :])
    if isinstance(thing, dict):
        return {**thing, head: _set(thing.get(head), rest, value)}
    assert is_dataclass(thing), f"{thing} has no {head}"
    assert not isinstance(thing, type)
    assert head in {one.name for one in fields(thing)}, head
    return replace(thing, **{head: _set(getattr(thing, head), rest, value)})
