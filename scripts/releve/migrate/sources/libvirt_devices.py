"""What becomes of each device of a libvirt guest on Proxmox VE: every kind is listed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Blocker, Part
from releve.migrate.sources.xmltree import attribute_at, layers

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Callable, Iterator

FORMATS = {"raw", "qcow2", "vmdk", "vpc", "vhdx"}
SLOTS = {"virtio": 16, "scsi": 31, "sata": 6, "ide": 4}
BUS_OF_TARGET = {"vd": "virtio", "sd": "scsi", "hd": "ide", "xv": "xen", "fd": "fdc"}
SCSI_MODELS = {
    *("auto", "lsilogic", "lsisas1078", "vmpvscsi"),
    *("virtio-scsi", "virtio-transitional", "virtio-non-transitional"),
}
NIC_MODELS = {
    *("virtio", "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e"),
    *("i82551", "i82557b", "i82559er", "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3"),
}
TUNNELS = {"client", "server", "mcast", "udp"}
CHARACTER_BACKENDS = {"pty", "unix", "spicevmc", "spiceport", "null", "stdio", "vc"}
SERIALS_MAX = 4
# Devices that the new host replaces by its own, or that are not carried over; said, not hidden.
REPLACED = {
    "emulator": "the new host's own QEMU",
    "memballoon": "PVE's own balloon device",
    "graphics": "PVE's own console",
    "video": "PVE's default display",
    "controller": "PVE's own controllers",
}
DROPPED = {
    "crypto": "a crypto accelerator is not carried over: programs compute by themselves",
    "pstore": "the store of crash logs is not carried over",
    "audio": "sound is not carried over",
    "sound": "sound is not carried over",
    "hub": "a USB hub is not carried over",
    "panic": "the panic notifier is not carried over",
    "redirfilter": "USB redirection rules are not carried over",
    "nvram": "PVE keeps firmware variables in a volume of its own",
}
Found = tuple[Part, list[Blocker]]


def part_of(tag: str, fate: str, text: str = "") -> Found:
    """Return a part without blockers."""
    return Part(tag, fate, text), []


def blocked(tag: str, *blockers: Blocker) -> Found:
    """Return a part that is blocked, or mapped when there is no reason."""
    if not blockers:
        return part_of(tag, "mapped")
    return Part(tag, "blocked", "; ".join(one.text for one in blockers)), list(blockers)


def account(device: ET.Element) -> Found:
    """Return the fate of one child of <devices>; a kind that is not listed is `unknown`."""
    tag = device.tag
    if tag in REPLACED:
        return part_of(tag, "replaced", REPLACED[tag])
    if tag in DROPPED:
        return part_of(tag, "dropped", DROPPED[tag])
    if tag in BY_TAG:
        return BY_TAG[tag](device)
    text = f"a device <{tag}> that this survey does not know"
    return Part(tag, "unknown", text), [Blocker("device-unknown", text)]


def disk_bus(device: ET.Element) -> str:
    """Return a disk's bus; without one it follows from the target's name, as libvirt does."""
    target = attribute_at(device, "target", "dev") or ""
    return attribute_at(device, "target", "bus") or BUS_OF_TARGET.get(target[:2], "none")


def _disk(device: ET.Element) -> Found:
    kind = device.get("device", "disk")
    name = f"disk {attribute_at(device, 'target', 'dev') or '?'}"
    loaded = device.find("source") is not None
    if kind == "cdrom":
        return part_of(name, "dropped", "a CD-ROM's medium is not carried over")
    if kind == "floppy":
        if loaded:
            return blocked(name, Blocker("floppy", "PVE has no floppy drive; this one has a disk"))
        return part_of(name, "dropped", "an empty floppy drive")
    return blocked(name, *_disk_blockers(device, name, kind))


def _disk_blockers(device: ET.Element, name: str, kind: str) -> Iterator[Blocker]:
    bus = disk_bus(device)
    if bus not in SLOTS:
        yield Blocker(f"disk-bus-{bus}", f"{name} hangs on a {bus} bus, which PVE lacks")
    format_ = attribute_at(device, "driver", "type")
    if format_ is not None and format_ not in FORMATS:
        yield Blocker(f"disk-format-{format_}", f"{name} has the format {format_}")
    if kind == "lun":
        yield Blocker("disk-lun-passthrough", f"{name} is a whole SCSI unit of the old host")
    if device.find("source") is None:
        yield Blocker("disk-source-missing", f"{name} has no source")
    if device.find("mirror") is not None:
        yield Blocker("block-job-active", f"{name} is being copied or committed now")
    if device.find("shareable") is not None:
        yield Blocker("disk-shareable", f"{name} may be used by several guests at once")
    if device.find("transient") is not None:
        yield Blocker("disk-transient", f"{name} loses its writes at power-off")
    for layer in layers(device):
        yield from _layer_blockers(layer, name)


def _layer_blockers(layer: ET.Element, name: str) -> Iterator[Blocker]:
    kind, source = layer.get("type", "file"), layer.find("source")
    if kind == "network":
        protocol = (source.get("protocol") if source is not None else None) or "unknown"
        yield Blocker(f"disk-network-{protocol}", f"a layer of {name} is network storage")
    elif kind == "volume":
        yield Blocker("disk-volume-unresolved", f"{name} is named by pool and volume only")
    elif kind not in {"file", "block"}:
        yield Blocker(f"disk-{kind}", f"{name} is of the kind {kind}, no file or block device")
    if layer.find("encryption") is not None or layer.find("source/encryption") is not None:
        yield Blocker("disk-encrypted", f"{name} is encrypted: its secret is needed")
    if source is None:
        return
    for tag, id_ in (("slices", "disk-slice"), ("reservations", "disk-reservations")):
        if source.find(tag) is not None:
            yield Blocker(id_, f"{name} has <{tag}>, which PVE lacks")
    if source.get("fdgroup"):
        yield Blocker("disk-fdgroup", f"{name} is opened by another program")


def nic_model(device: ET.Element) -> str:
    """Return a card's model in PVE's words; libvirt's default on a PC is rtl8139."""
    model = attribute_at(device, "model", "type") or "rtl8139"
    return "virtio" if model in {"virtio-transitional", "virtio-non-transitional"} else model


def _interface(device: ET.Element) -> Found:
    kind = device.get("type", "user")
    name = f"network card {attribute_at(device, 'mac', 'address') or '(no address)'}"
    return blocked(name, *_nic_blockers(device, kind, name))


def _nic_blockers(device: ET.Element, kind: str, name: str) -> Iterator[Blocker]:
    if kind == "hostdev":
        yield Blocker("passthrough-pci", f"{name} is a device of the old host")
        return
    if nic_model(device) not in NIC_MODELS:
        yield Blocker("nic-model", f"{name} is a {nic_model(device)}, which PVE lacks")
    if kind in TUNNELS:
        yield Blocker("nic-tunnel", f"{name} is a tunnel to another QEMU ({kind})")
    elif kind == "direct":
        mode = attribute_at(device, "source", "mode") or "vepa"
        if mode != "bridge":
            yield Blocker(f"nic-direct-{mode}", f"{name} is macvtap in mode {mode}")
    elif kind == "user":
        if device.find("portForward") is not None:
            yield Blocker("nic-user-portforward", f"{name} forwards ports of the old host")
        if attribute_at(device, "backend", "type") == "passt":
            yield Blocker("nic-user-passt", f"{name} is served by passt")
    elif kind not in {"bridge", "network"}:
        yield Blocker(f"nic-{kind}", f"{name} is of the kind {kind}, no bridge replaces it")
    if device.find("teaming") is not None:
        yield Blocker("nic-teaming", f"{name} is one half of a team")
    for port in device.findall("virtualport"):
        if port.get("type") != "openvswitch":
            what = port.get("type") or "any"
            yield Blocker(f"nic-virtualport-{what}", f"{name} needs a switch of the kind {what}")


def _hostdev(device: ET.Element) -> Found:
    if device.get("mode") == "capabilities":
        kind = "capabilities"
    else:
        kind = (device.get("type") or "unknown").replace("_", "-")
    text = f"a {kind} device of the old host"
    return blocked("hostdev", Blocker(f"passthrough-{kind}", text))


def _input(device: ET.Element) -> Found:
    if device.get("type") in {"passthrough", "evdev"}:
        text = "a keyboard or mouse of the old host"
        return blocked("input", Blocker("input-passthrough", text))
    return part_of("input", "replaced", "PVE's own keyboard and pointer")


def _filesystem(device: ET.Element) -> Found:
    driver = attribute_at(device, "driver", "type")
    id_ = "share-virtiofs" if driver == "virtiofs" else "share-9p"
    return blocked("filesystem", Blocker(id_, "a folder of the old host is shown to the guest"))


def _tpm(device: ET.Element) -> Found:
    kind = attribute_at(device, "backend", "type") or "unknown"
    blockers = []
    if kind != "emulator":
        blockers.append(Blocker(f"tpm-{kind}", f"a TPM of the kind {kind} cannot travel"))
    if device.find("backend/encryption") is not None:
        blockers.append(Blocker("tpm-encrypted", "the TPM's state needs its secret"))
    if blockers:
        return blocked("tpm", *blockers)
    return part_of("tpm", "mapped", "its state has to be carried over")


def _character(device: ET.Element) -> Found:
    kind = device.get("type", "pty")
    if device.tag == "console" and attribute_at(device, "target", "type") in {None, "serial"}:
        return part_of("console", "mapped")  # libvirt's second name of the first serial port
    if kind == "dev":
        text = f"a {device.tag} port that is a device of the old host"
        return blocked(device.tag, Blocker("serial-host-device", text))
    if kind not in CHARACTER_BACKENDS:
        text = f"a {device.tag} port that ends in a {kind} of the old host"
        return blocked(device.tag, Blocker("serial-backend", text))
    return part_of(device.tag, "mapped")


def _channel(device: ET.Element) -> Found:
    target = device.find("target")
    name = (target.get("name") if target is not None else None) or ""
    if target is not None and target.get("type") == "guestfwd":
        return blocked("channel", Blocker("channel-guestfwd", "a forward into the guest"))
    if device.get("type") in {"spicevmc", "spiceport", "qemu-vdagent"}:
        return part_of("channel", "dropped", "the console's clipboard and folders")
    if name == "org.qemu.guest_agent.0":
        return part_of("channel", "mapped", "the guest agent")
    text = f"a channel {name or 'without a name'} to a program of the old host"
    return blocked("channel", Blocker("channel-custom", text))


def _redirdev(device: ET.Element) -> Found:
    if device.get("type") == "spicevmc":
        return part_of("redirdev", "dropped", "USB redirection by the console")
    text = f"a USB device redirected by {device.get('type')}"
    return blocked("redirdev", Blocker("redirdev-network", text))


def _rng(device: ET.Element) -> Found:
    if attribute_at(device, "backend", "model") == "egd":
        return blocked("rng", Blocker("rng-egd", "random numbers from a program of the old host"))
    return part_of("rng", "mapped")


def _watchdog(device: ET.Element) -> Found:
    model, action = device.get("model"), device.get("action", "reset")
    blockers = []
    if model not in {"i6300esb", "ib700", "itco"}:
        blockers.append(Blocker("watchdog-model", f"a watchdog of the model {model}"))
    if action not in {"reset", "shutdown", "poweroff", "pause", "none"}:
        blockers.append(Blocker("watchdog-action", f"a watchdog that does {action}"))
    return blocked("watchdog", *blockers)


def _memory(device: ET.Element) -> Found:
    model = device.get("model", "dimm")
    if model == "dimm":
        return part_of("memory", "mapped", "counted in the guest's memory")
    text = f"memory of the kind {model} is not plain RAM"
    return blocked("memory", Blocker(f"memory-{model}", text))


def _iommu(device: ET.Element) -> Found:
    model = device.get("model") or "unknown"
    if model in {"intel", "virtio"}:
        return part_of("iommu", "mapped")
    return blocked("iommu", Blocker("iommu-model", f"an IOMMU of the model {model}"))


def _always(id_: str, text: str) -> Callable[[ET.Element], Found]:
    return lambda device: blocked(device.tag, Blocker(id_, text))


BY_TAG: dict[str, Callable[[ET.Element], Found]] = {
    "disk": _disk,
    "interface": _interface,
    "hostdev": _hostdev,
    "input": _input,
    "filesystem": _filesystem,
    "tpm": _tpm,
    "serial": _character,
    "console": _character,
    "channel": _channel,
    "redirdev": _redirdev,
    "rng": _rng,
    "watchdog": _watchdog,
    "memory": _memory,
    "iommu": _iommu,
    "parallel": _always("parallel", "a parallel port"),
    "smartcard": _always("smartcard", "a smart card reader"),
    "shmem": _always("shmem", "memory shared with a program of the old host"),
    "vsock": _always("vsock", "a socket to programs of the old host"),
    "lease": _always("lease", "a lease of the old host's lock manager"),
}
