"""A container (LXC) of an old Proxmox VE: listed with what it has; it moves by vzdump."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Blocker, DiskFound, Domain, NicFound, Part
from releve.migrate.sources.pve_conf import integer, numbered, options, size_of, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.sources.pve_conf import PveConf

WAY = "a container: back it up with vzdump there and restore it on the node (pct restore)"
KNOWN = {
    *("arch", "cmode", "console", "cores", "cpulimit", "cpuunits", "debug", "description", "dev"),
    *("features", "hookscript", "hostname", "lock", "memory", "mp", "nameserver", "net", "onboot"),
    *("ostype", "parent", "protection", "rootfs", "searchdomain", "startup", "swap", "tags"),
    *("template", "timezone", "tty", "unprivileged", "unused", "entrypoint", "env"),
    *("cpus", "disk", "quotatime", "quotaugidlimit", "snaptime", "snapstate"),
}


def container_of(conf: PveConf, where: str, vmid: int | None) -> Domain:
    """Return a container as a guest: blocked for the block mover, with the way that it has."""
    keys = conf.main.keys
    mounts = {
        key: options(value, "volume")
        for key, value in (
            *((("rootfs", keys["rootfs"]),) if "rootfs" in keys else ()),
            *numbered(keys, "mp").items(),
        )
    }
    cards = [options(value, "name") for value in numbered(keys, "net").values()]
    cores = integer(keys.get("cores", keys.get("cpus")), 1)
    return Domain(
        name=keys.get("hostname") or f"{vmid or where}",
        uuid=None,
        hypervisor="lxc",
        arch={"amd64": "x86_64", "i386": "i686"}.get(keys.get("arch", "amd64"), keys.get("arch"))
        or "x86_64",
        machine=None,
        firmware="none",
        secure_boot=False,
        loader=None,
        nvram=None,
        memory_kib=integer(keys.get("memory"), 512) * 1024,
        cpus=cores,
        cpus_max=cores,
        clock="utc",
        acpi=False,
        agent=False,
        disks=tuple(_disk(key, said) for key, said in mounts.items()),
        nics=tuple(map(_nic, cards)),
        parts=tuple(_parts(conf)),
        blockers=tuple(dict.fromkeys(_blockers(conf, mounts))),
        notes=(WAY,),
    )


def _disk(key: str, said: dict[str, str]) -> DiskFound:
    volume = said.get("volume", "")
    kind = "bind" if volume.startswith("/") else "volume"
    return DiskFound(key, "mount", kind, volume or None, "raw", size=size_of(said.get("size")))


def _nic(said: dict[str, str]) -> NicFound:
    mac = said.get("hwaddr", "").lower() or None
    tags = (said["tag"],) if said.get("tag") else ()
    return NicFound(
        type=said.get("type", "veth"),
        mac=mac,
        model="veth",
        source=said.get("bridge"),
        vlans=tuple(integer(tag, 0) for tag in tags),
        linked=not yes(said.get("link_down")),
    )


def _blockers(conf: PveConf, mounts: dict[str, dict[str, str]]) -> Iterator[Blocker]:
    yield Blocker("container-lxc", WAY)
    for key, said in mounts.items():
        if said.get("volume", "").startswith("/"):
            text = f"{key} is {said['volume']} of the old host, which vzdump leaves out"
            yield Blocker("bind-mount", text)
    for key, value in conf.main.lxc:
        if key == "lxc.mount.entry":
            yield Blocker("bind-mount", f"it mounts {value.split()[0] if value else '?'}")
    for key, value in numbered(conf.main.keys, "dev").items():
        yield Blocker("passthrough-device", f"{key} is the old host's device {value}")
    if "hookscript" in conf.main.keys:
        text = f"{conf.main.keys['hookscript']} runs on the old host when it starts and stops"
        yield Blocker("hookscript", text)
    if "lock" in conf.main.keys:
        yield Blocker("locked", f"it is locked: {conf.main.keys['lock']}")
    for key, value in numbered(conf.main.keys, "unused").items():
        yield Blocker("unused-volume", f"{key}: {value} holds data that nothing shows")
    if conf.snapshots:
        yield Blocker("snapshot", f"it has snapshots ({', '.join(conf.snapshots)})")
    if conf.pending.keys:
        yield Blocker("pending-changes", f"changes wait: {', '.join(conf.pending.keys)}")


def _parts(conf: PveConf) -> Iterator[Part]:
    for key in conf.main.keys:
        stem = re.sub(r"\d+$", "", key)
        if stem in KNOWN:
            yield Part(key, "mapped", "")
        else:
            yield Part(key, "unknown", f"{key} is no setting that this survey knows")
    for key, value in conf.main.lxc:
        text = f"{key}: {value}: vzdump carries it, and the node's LXC may refuse it"
        yield Part(key, "dropped", text)
    for line in conf.main.odd:
        yield Part("a line", "dropped", f"{line} is no setting")
