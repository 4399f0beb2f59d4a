"""A Proxmox VE guest's file becomes a guest: virtual machine or container."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from releve.migrate.sources.domain import (
    Blocker,
    Cpu,
    DiskFound,
    Domain,
    Identity,
    NicFound,
    Part,
    Smbios,
    Tpm,
)
from releve.migrate.sources.pve_conf import (
    drives_of,
    integer,
    is_cdrom,
    is_cloudinit,
    numbered,
    options,
    read_conf,
    size_of,
    yes,
)
from releve.migrate.sources.pve_container import container_of
from releve.migrate.sources.pve_keys import account
from releve.migrate.sources.pve_state import notes_of, odd_parts, state_of, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.sources.pve_conf import PveConf

MODELS = re.compile(r"(e1000.*|i82\w+|ne2k_\w+|pcnet|rtl8139|virtio|vmxnet3)")
MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
WINDOWS = re.compile(r"(w2k.*|wxp|wvista|win\d+)")
FORMATS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "iso": "raw", "img": "raw"}
MEMORY = 512  # MiB, when a file does not say it
OLD_DEFAULT_TPM = "1.2"


def parse_conf(text: str, where: str, vmid: int | None = None) -> Domain:
    """Return the guest that a file of /etc/pve/qemu-server or /etc/pve/lxc describes.

    `vmid` is its number, from the file's name; without it nothing can be said about whose the
    volumes are. Raises InputError, naming `where`, when it is no such file.
    """
    return guest_of(read_conf(text, where), where, vmid)


def guest_of(conf: PveConf, where: str, vmid: int | None) -> Domain:
    """Return the guest that a read file describes; as `parse_conf`."""
    if conf.container:
        return container_of(conf, where, vmid)
    found = list(account(conf))
    drives = list(_drives(conf))
    parts = [*(part for part, _ in found), *(part for part, _, _ in drives), *odd_parts(conf)]
    blockers = [blocker for _, several in found for blocker in several]
    blockers += [blocker for _, _, several in drives for blocker in several]
    disks = tuple(disk for _, disk, _ in drives if disk is not None)
    blockers += [*state_of(conf), *together(conf, disks, vmid)]
    bare = _bare(conf, f"{vmid or where}", disks)
    return replace(bare, parts=tuple(parts), blockers=tuple(dict.fromkeys(blockers)))


def _bare(conf: PveConf, name: str, disks: tuple[DiskFound, ...]) -> Domain:
    """Return the guest without the fates of its parts."""
    keys = conf.main.keys
    sockets, cores = integer(keys.get("sockets", keys.get("smp")), 1), integer(keys.get("cores"), 1)
    memory = options(keys.get("memory", ""), "current").get("current")
    machine = options(keys["machine"], "type").get("type") if "machine" in keys else None
    efi = options(keys.get("efidisk0", ""), "file")
    return Domain(
        name=keys.get("name") or name,
        uuid=options(keys.get("smbios1", ""), "uuid").get("uuid") or None,
        hypervisor="pve",
        arch=keys.get("arch", "x86_64"),
        machine=machine,
        firmware="uefi" if keys.get("bios") == "ovmf" else "bios",
        secure_boot=yes(efi.get("pre-enrolled-keys")),
        loader=None,
        nvram=efi.get("file") or None,
        memory_kib=integer(memory, MEMORY) * 1024,
        cpus=integer(keys.get("vcpus"), sockets * cores),
        cpus_max=sockets * cores,
        clock="localtime" if _localtime(conf) else "utc",
        acpi=keys.get("acpi", "1") != "0",
        agent=yes(options(keys.get("agent", "0"), "enabled").get("enabled")),
        disks=disks,
        nics=tuple(_nic(value) for value in numbered(keys, "net").values()),
        parts=(),
        blockers=(),
        identity=_identity(conf, sockets, cores, disks),
        notes=tuple(notes_of(conf)),
    )


def _localtime(conf: PveConf) -> bool:
    """Say whether the clock is local: as said, else PVE's rule for the kind of system."""
    said = conf.main.keys.get("localtime")
    return yes(said) if said else bool(WINDOWS.fullmatch(conf.main.keys.get("ostype", "")))


def _identity(conf: PveConf, sockets: int, cores: int, disks: tuple[DiskFound, ...]) -> Identity:
    keys = conf.main.keys
    cpu = options(keys.get("cpu", "kvm64"), "cputype")
    flags = tuple(sorted(filter(None, cpu.get("flags", "").split(";"))))
    genid = keys.get("vmgenid")
    return Identity(
        smbios=_smbios(keys.get("smbios1", "")),
        cpu=Cpu(cpu.get("cputype") or "kvm64", flags, sockets, cores),
        vmgenid=genid.lower() if genid not in {None, "0", "1"} else None,
        clock="localtime" if _localtime(conf) else "utc",
        tpm=_tpm(keys.get("tpmstate0")),
        os=keys.get("ostype"),
        scsi_controller=keys.get("scsihw", "lsi") if any(d.bus == "scsi" for d in disks) else None,
    )


def _tpm(text: str | None) -> Tpm | None:
    if text is None:
        return None
    said = options(text, "file")
    version = said.get("version") or OLD_DEFAULT_TPM
    return Tpm(version.removeprefix("v"), state=said.get("file"))


def _smbios(text: str) -> Smbios:
    said = options(text, "uuid")
    names = ("manufacturer", "product", "version", "serial", "sku", "family")
    shown = {name: said[name] for name in names if said.get(name)}
    if yes(said.get("base64")):
        shown = {name: _decoded(value) for name, value in shown.items()}
    return Smbios(uuid=(said.get("uuid") or "").lower() or None, **shown)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return text


Drive = tuple[Part, DiskFound | None, list[Blocker]]


def _drives(conf: PveConf) -> Iterator[Drive]:
    scsihw = conf.main.keys.get("scsihw", "lsi")
    for key, said in drives_of(conf).items():
        if is_cloudinit(said):
            yield Part(key, "replaced", "cloud-init's drive: PVE makes it anew"), None, []
        elif is_cdrom(said):
            yield Part(key, "dropped", "a CD-ROM's medium is not carried over"), None, []
        else:
            yield _disk(key, said, scsihw)


def _disk(key: str, said: dict[str, str], scsihw: str) -> Drive:
    volume, blockers = said.get("file", ""), []
    if not volume:
        blockers.append(Blocker("disk-source-missing", f"{key} names no volume"))
    if volume.startswith("/"):
        text = f"{key} is {volume} of the old host, not a volume of a storage"
        blockers.append(Blocker("disk-raw-path", text))
    if yes(said.get("scsiblock")):
        blockers.append(Blocker("disk-lun-passthrough", f"{key} is a whole SCSI unit"))
    if yes(said.get("snapshot")):
        blockers.append(Blocker("disk-transient", f"{key} loses its writes at power-off"))
    bus = re.sub(r"\d+$", "", key)
    suffix = said.get("format") or volume.rpartition(".")[2].lower()
    disk = DiskFound(
        target=key,
        bus=bus,
        type="block" if volume.startswith("/dev/") else "file" if "/" in volume else "volume",
        source=volume or None,
        format=FORMATS.get(suffix, "raw"),
        readonly=yes(said.get("ro")),
        serial=said.get("serial"),
        wwn=(said.get("wwn") or "").removeprefix("0x").lower() or None,
        vendor=said.get("vendor"),
        product=said.get("product"),
        controller=scsihw if bus == "scsi" else None,
        size=size_of(said.get("size")),
    )
    text = "; ".join(one.text for one in blockers)
    return Part(key, "blocked" if blockers else "mapped", text), disk, blockers


def _nic(value: str) -> NicFound:
    said = options(value, "model")
    mac, model = said.get("macaddr"), said.get("model", "")
    for key, text in said.items():
        if MODELS.fullmatch(key):
            model, mac = key, text
    tags = [part for part in (said.get("tag"), *said.get("trunks", "").split(";")) if part]
    return NicFound(
        type="bridge" if said.get("bridge") else "user",
        mac=mac.lower() if mac and MAC.fullmatch(mac) else None,
        model=model or "rtl8139",
        source=said.get("bridge"),
        vlans=tuple(integer(tag.partition("-")[0], 0) for tag in tags),
        linked=not yes(said.get("link_down")),
    )
