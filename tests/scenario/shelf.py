"""An old host that is nothing but a shelf of image files, and the guests whose disks lie on it.

One of them works there, so that its files change; the others were exported when they had stopped.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from tests.scenario.beside import Beside

from releve.lab import domains, extra, guests
from releve.lab.hosts import copy_sparse
from releve.lab.podman import files_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.lab.topology import Lab

SHELF = "shelf"
FOLDER = "/srv/exports"
SIZE_MIB = 192
# name: (vmid, last octet, firmware); they have the disks that the lab builds
WORKING = {
    "population": (121, 26, "bios"),
    "permis": (122, 27, "bios"),
    "cadastre": (123, 28, "uefi"),
}
# The disks of `archives`: each is the same disk, as another program would have exported it.
FORMATS = {
    "sda": ("qcow2", "chain.qcow2"),
    "sdb": ("vmdk", "split.vmdk"),
    "sdc": ("vmdk", "archives.ova/archives-disk1.vmdk"),
}
_EXPORT = f"""
cd {FOLDER}
qemu-img convert -O vmdk -o subformat=monolithicSparse permis.raw permis.vmdk
qemu-img convert -O vhdx -o subformat=dynamic cadastre.raw cadastre.vhdx
cp --sparse=always permis.raw base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw chain.qcow2
qemu-io -f qcow2 -c 'write -q -P 90 160M 1M' chain.qcow2
qemu-img convert -O raw chain.qcow2 archives.raw
qemu-img convert -O vmdk -o subformat=twoGbMaxExtentFlat archives.raw split.vmdk
qemu-img convert -O vmdk -o subformat=streamOptimized archives.raw archives-disk1.vmdk
tar -cf archives.ova archives-disk1.vmdk
rm permis.raw cadastre.raw archives-disk1.vmdk
"""


def guest(name: str, *disks: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a guest in a town file."""
    vmid, octet, firmware = WORKING[name]
    return {
        "vmid": vmid,
        "source": SHELF,
        "target": "pve1",
        "storage": "vmdata",
        "pool": "services",
        "firmware": firmware,
        "memory_mib": 256,
        "stop_seconds": 15,
        "nics": [
            {
                "mac": f"52:54:00:91:00:{octet:02x}",
                "network": "office",
                "address": f"198.51.100.{octet}",
            }
        ],
        "disks": list(disks),
        "witness": {"port": 7000},
    }


def disk(name: str, form: str, file: str, **more: Any) -> dict[str, Any]:
    """Return the entry of a disk whose file lies on the shelf."""
    place = f"{FOLDER}/{file}"
    return {"name": name, "format": form, "size_mib": SIZE_MIB, "file": place, **more}


def archives() -> dict[str, Any]:
    """Return the entry of a guest of several disks that nobody asks anything."""
    disks = [disk(name, form, file, bus="scsi") for name, (form, file) in FORMATS.items()]
    return {**guest("permis", *disks), "vmid": 124, "nics": [], "witness": None}


def make(lab: Lab, tell: Callable[[str], None]) -> Beside:
    """Make the host, its files, and the town that knows of them."""
    made = extra.up(lab, SHELF, extra.Wish(image="old", bridge="br0"))
    hosts = {
        SHELF: {
            "kind": "old",
            "address": str(made.address),
            "network": "office",
            "hypervisor": "files",
        }
    }
    alone = {"compta": None, "dossiers": None}
    plain = {"name": "vda", "format": "raw", "size_mib": SIZE_MIB}
    working = {name: guest(name, plain) for name in WORKING}
    built = Beside.of(lab, "built", {"hosts": hosts, "guests": alone | working})
    guests.ensure(built.lab.town, tell)
    with files_of(lab.part(SHELF)) as tree:
        for name in WORKING:
            image = guests.disk_of(built.lab.town, name)
            copy_sparse(image, tree / FOLDER.strip("/") / f"{name}.raw")
    console(lab, _EXPORT)
    frozen = {"frozen": {"file": f"{FOLDER}/population.copy"}}
    town = Beside.of(
        lab,
        SHELF,
        {
            "hosts": hosts,
            "guests": alone
            | {
                "population": guest("population", disk("vda", "raw", "population.raw", **frozen)),
                "permis": guest("permis", disk("vda", "vmdk", "permis.vmdk")),
                "cadastre": guest("cadastre", disk("vda", "vhdx", "cadastre.vhdx")),
                "archives": archives(),
            },
        },
    )
    definition = domains.domain(built.lab.town, "population")
    definition = definition.replace(f"/{domains.IMAGES_FOLDER}/", f"{FOLDER}/")
    console(
        lab, "cat > /root/population.xml && virsh -q create /root/population.xml", stdin=definition
    )
    return town


def clear(town: Beside) -> None:
    """Take the host away, and its guests off the node: what comes next does not know them."""
    extra.down(town.lab, SHELF)
    for guest in town.lab.town.guests.values():
        if guest.source == SHELF:
            town.delete("pve1", guest.vmid)


def console(lab: Lab, line: str, stdin: str | None = None) -> str:
    """Run a shell line at the shelf's console."""
    return lab.console(SHELF, ["sh", "-ec", line], timeout=120, stdin=stdin).stdout


def stop_at_source(town: Beside) -> None:
    """Press its power button and wait until it is off, as a person does."""
    console(town.lab, "virsh -q shutdown population")
    for _ in range(300):
        if "population" not in console(town.lab, "virsh -q list --name"):
            return
        time.sleep(0.1)
    message = "population does not stop"
    raise AssertionError(message)


def hash_of(town: Beside, form: str, file: str) -> str:
    """Return the SHA-256 of what a guest sees of an image, by the shelf's own tools."""
    image = shlex.quote(f"{FOLDER}/{file}")
    line = f"qemu-img convert -f {form} -O raw {image} /tmp/whole && sha256sum < /tmp/whole"
    return console(town.lab, f"{line}; rm -f /tmp/whole").split()[0]


def journal(town: Beside, name: str) -> Path:
    """Return the file of a guest's journal."""
    return town.folder / "build" / "migrate" / name / "journal.jsonl"
