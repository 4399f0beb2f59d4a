"""Checks of the node that a guest goes to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning
from releve.migrate.preflight.units import size

if TYPE_CHECKING:
    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts, StorageFacts

TARGET = Collected([])
OLDEST_PVE = 9
RESERVE = 10  # percent of the volumes' size that has to stay free beside them
TAKES_RAW = {"dir", "nfs", "cifs", "btrfs", "cephfs", "lvm", "lvmthin", "zfspool", "rbd", "iscsi"}
# Storages whose new volumes hold what was on the disk before.
NOT_ZEROED = {"lvm", "iscsi", "iscsidirect"}
FULL_POOL = 90.0
CLOCK_WARNS, CLOCK_FAILS = 2.0, 60.0


def storage_of(facts: Facts) -> StorageFacts | None:
    """Return the storage that the guest's volumes go to, if the node tells of it."""
    return facts.api.storages.get(facts.guest.storage)


@TARGET.add(
    "node-lets-us-in",
    "T1",
    "log-in to the node by ssh, and to its API by the migration's token",
    "run playbooks/provision.yml; it makes the token",
    must_know=True,
    fixed="nothing can be made on a node that does not let us in",
)
def node_lets_us_in(facts: Facts) -> Said:
    """The node and its API answer us."""
    error = facts.node.error or facts.api.error
    return failed(error) if error else passed(facts.node.host)


@TARGET.add(
    "node-version",
    "T1",
    "`/version` of the API",
    "upgrade the node; what the move was measured with is Proxmox VE 9",
)
def node_version(facts: Facts) -> Said:
    """The node runs Proxmox VE 9 or newer."""
    found = re.match(r"\d+", facts.api.version)
    if not found:
        return unknown("the API did not tell")
    text = facts.api.version
    return passed(text) if int(found[0]) >= OLDEST_PVE else failed(text)


@TARGET.add(
    "node-has-libnbd",
    "T1",
    "the node's Python",
    "apt-get install python3-libnbd (role base does)",
    must_know=True,
    fixed="without it no byte can be read from the source",
)
def node_has_libnbd(facts: Facts) -> Said:
    """The node has Python's libnbd."""
    if facts.node.error:
        return unknown(f"{facts.node.host} was not read")
    return passed(facts.node.libnbd) if facts.node.libnbd else failed("missing")


@TARGET.add(
    "node-has-sshfs",
    "T1",
    "`sshfs --version` and /dev/fuse of the node",
    "apt-get install sshfs (role base does)",
    must_know=True,
    fixed="without it no file at the old host can be read",
)
def node_has_sshfs(facts: Facts) -> Said:
    """The node can mount files of another host."""
    if not facts.guest.disks[0].file or facts.guest.source == facts.guest.target:
        return passed("no file is mounted")
    if facts.node.error:
        return unknown(f"{facts.node.host} was not read")
    return passed(facts.node.sshfs) if facts.node.sshfs else failed("missing")


@TARGET.add(
    "storage-takes-disks",
    "T2",
    "the storage's type, content and state by the API",
    "add `images` to its content, or name another storage in town.yml",
    must_know=True,
)
def storage_takes_disks(facts: Facts) -> Said:
    """The storage is active and holds raw volumes of guests."""
    name, storage = facts.guest.storage, storage_of(facts)
    if facts.api.error:
        return unknown("the API did not tell")
    if storage is None:
        return failed(f"{name}: not there")
    if not storage.active:
        return failed(f"{name}: not active")
    if "images" not in storage.content:
        return failed(f"{name}: holds {', '.join(storage.content) or 'nothing'}")
    return passed(f"{name}: {storage.type}") if storage.type in TAKES_RAW else failed(storage.type)


@TARGET.add(
    "space-enough",
    "T3",
    "free space of the storage against the sum of all disks that the plan brings there",
    "make room, or move fewer guests at once",
    must_know=True,
)
def space_enough(facts: Facts) -> Said:
    """The storage has room for all that goes there, and 10 % more."""
    storage = storage_of(facts)
    if storage is None:
        return unknown("the API did not tell")
    need = facts.together.disks.get(facts.guest.storage, 0)
    need += -(-need * RESERVE // 100)
    text = f"{size(need)} needed, {size(storage.free)} free"
    return passed(text) if need <= storage.free else failed(text)


@TARGET.add(
    "thin-pool-has-room",
    "T3",
    "`lvs` of the node: fill of data and of metadata",
    "extend the pool's metadata before: a full one stops every guest on it",
)
def thin_pool_has_room(facts: Facts) -> Said:
    """No thin pool of the node is nearly full, neither its data nor its metadata."""
    storage = storage_of(facts)
    if storage is None:
        return unknown("the API did not tell")
    if storage.type != "lvmthin":
        return passed(f"{storage.type}: no thin pool")
    if not facts.node.thin_pools:
        return unknown("lvs told of no pool")
    texts = [f"{n}: data {d:g} %, meta {m:g} %" for n, (d, m) in facts.node.thin_pools.items()]
    full = any(max(fill) >= FULL_POOL for fill in facts.node.thin_pools.values())
    return failed("; ".join(texts)) if full else passed("; ".join(texts))


@TARGET.add(
    "volume-reads-zero",
    "T4",
    "the storage's type",
    "use a thin, ZFS or file storage: what was on those blocks before would show through holes",
)
def volume_reads_zero(facts: Facts) -> Said:
    """A new volume there holds zeros."""
    storage = storage_of(facts)
    if storage is None:
        return unknown("the API did not tell")
    return failed(storage.type) if storage.type in NOT_ZEROED else passed(storage.type)


@TARGET.add(
    "vmid-free",
    "T6",
    "the guests of the node",
    "give the guest another vmid, or remove that one by hand",
    must_know=True,
    fixed="what others made is never overwritten",
)
def vmid_free(facts: Facts) -> Said:
    """The number is free, or has what an earlier run of ours made for this guest."""
    if facts.api.error:
        return unknown("the API did not tell")
    there = facts.api.guests.get(facts.guest.vmid)
    if there is None:
        return passed(f"{facts.guest.vmid}: free")
    text = f"{facts.guest.vmid}: {there.name or 'a guest'} of run {there.run or 'nobody'} is there"
    return passed(text) if there.run and there.run in facts.runs else failed(text)


@TARGET.add(
    "no-foreign-volume",
    "T6",
    "the volumes of the storage that carry the guest's number",
    "look whose data they are; remove them by hand, or give the guest another vmid",
    must_know=True,
    fixed="what others made is never overwritten",
)
def no_foreign_volume(facts: Facts) -> Said:
    """No volume with the guest's number is there, but those of an earlier run of ours."""
    storage, vmid = storage_of(facts), facts.guest.vmid
    if storage is None:
        return unknown("the API did not tell")
    found = storage.volumes.get(vmid, ())
    there = facts.api.guests.get(vmid)
    ours = there is not None and there.run in facts.runs and there.run != ""
    # The number in a volume's name is no proof: the guest that names it owns it.
    owners = {volume: facts.node.volumes.get(volume, "") for volume in found}
    foreign = [
        f"{volume} of guest {owner}" if owner else volume
        for volume, owner in owners.items()
        if not ours or owner not in {"", str(vmid)}
    ]
    return failed(", ".join(foreign)) if foreign else passed(f"{len(found)} volumes")


@TARGET.add(
    "name-free",
    "T6",
    "the guests of the node",
    "rename that one: two guests of one name are mixed up at the worst moment",
)
def name_free(facts: Facts) -> Said:
    """No other guest of the node has this name."""
    if facts.api.error:
        return unknown("the API did not tell")
    others = [
        str(vmid)
        for vmid, there in facts.api.guests.items()
        if there.name == facts.name and vmid != facts.guest.vmid
    ]
    return warning(f"guest {', '.join(others)}") if others else passed(facts.name)


@TARGET.add(
    "mac-free",
    "T6",
    "the configuration of every guest of the node's cluster",
    "take that card out of the other guest; two machines with one address break both",
    fixed="two machines with one address on a network break both",
)
def mac_free(facts: Facts) -> Said:
    """No other guest there has one of the guest's hardware addresses."""
    macs = facts.node.macs
    if macs is None:
        return unknown(f"the guests' files of {facts.node.host} were not read")
    there = facts.api.guests.get(facts.guest.vmid)
    mine = {str(facts.guest.vmid)} if there and there.run in facts.runs else set()
    taken = [
        f"{nic.mac} is of guest {macs[nic.mac]}"
        for nic in facts.guest.nics
        if macs.get(nic.mac, "") not in {"", *mine}
    ]
    return failed("; ".join(taken)) if taken else passed(f"{len(facts.guest.nics)} cards")


@TARGET.add(
    "bridge-there",
    "T7",
    "/sys/class/net of both hosts",
    "make the bridge on the node (its address, carrier and MTU as at the old host)",
)
def bridge_there(facts: Facts) -> Said:
    """Each bridge of the guest is up on the node, with frames as large as at the old host."""
    names = {facts.town.networks[nic.network].bridge for nic in facts.guest.nics}
    if facts.node.error or not facts.node.bridges:
        return unknown(f"{facts.node.host} was not read")
    for name in sorted(names):
        here, there = facts.node.bridges.get(name), facts.old.bridges.get(name)
        if here is None:
            return failed(f"{name}: not there")
        if here.state == "down":
            return failed(f"{name}: no carrier")
        if there and there.mtu != here.mtu:
            return failed(f"{name}: MTU {here.mtu}, at the old host {there.mtu}")
    mtus = {facts.node.bridges[name].mtu for name in names}
    return passed(f"{', '.join(sorted(names)) or 'no card'}: MTU {', '.join(map(str, mtus))}")


@TARGET.add(
    "memory-enough",
    "T9",
    "MemAvailable of the node against the memory of all guests that the plan brings",
    "shut something down there, or move fewer guests at once; shrink ZFS's cache (zfs_arc_max)",
)
def memory_enough(facts: Facts) -> Said:
    """The node has free memory for all guests that go there."""
    free, need = facts.node.memory_available, facts.together.memory
    if free is None:
        return unknown("MemAvailable not read")
    text = f"{size(need)} needed, {size(free)} free"
    return passed(text) if need <= free else failed(text)


@TARGET.add(
    "ups-on-line",
    "T13",
    "`upsc` on the node that has the UPS's cable",
    "wait for the mains: a cutover on battery may be cut in its middle",
)
def ups_on_line(facts: Facts) -> Said:
    """The mains are there."""
    if not facts.town.ups:
        return warning("the town has no UPS")
    if not facts.node.ups:
        return unknown("no UPS answers")
    words = [f"{name}: {status}" for name, status in sorted(facts.node.ups.items())]
    on_battery = any("OB" in status.split() for status in facts.node.ups.values())
    return failed(", ".join(words)) if on_battery else passed(", ".join(words))


@TARGET.add(
    "node-quiet",
    "T14",
    "processes, /proc/mdstat and `zpool status` of the node",
    "wait for its end, or move its hour: it takes the disks' time",
)
def node_quiet(facts: Facts) -> Said:
    """No backup, replication, scrub or rebuild runs on the node."""
    if facts.node.busy is None:
        return unknown(f"{facts.node.host} was not read")
    return warning(", ".join(facts.node.busy)) if facts.node.busy else passed("nothing runs")


@TARGET.add(
    "clocks-agree",
    "S18, T15",
    "the clocks of both hosts against this workstation's",
    "set the clocks (chrony): log-ins by Kerberos fail, and times in the evidence lie",
)
def clocks_agree(facts: Facts) -> Said:
    """The clocks of old host and node agree."""
    old, node = facts.old.clock, facts.node.clock
    if old is None or node is None:
        return unknown("not both were read")
    apart, sure = abs(old - node), facts.old.clock_error + facts.node.clock_error
    text = f"{apart:.0f} s apart, read within {sure:.0f} s"
    if apart - sure > CLOCK_FAILS:
        return failed(text)
    return warning(text) if apart - sure > CLOCK_WARNS else passed(text)
