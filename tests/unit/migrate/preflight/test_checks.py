"""Each check passes a guest with nothing in its way, and says so when one thing is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from tests.unit.migrate.preflight.good import DOMAIN, FILE, LAB, MAC, MIB, SIZE, broken, good, town

from releve.migrate.preflight.check import Result, Verdict, judge
from releve.migrate.preflight.facts import Bridge, Firmware, Layer, Present, StorageFacts
from releve.migrate.preflight.table import BY_ID, CHECKS
from releve.migrate.preflight.windows import SystemDisk, Windows
from releve.migrate.sources.libvirt import parse_domain
from releve.town.model import Smbios

if TYPE_CHECKING:
    from releve.migrate.preflight.facts import Facts

FAILED, WARNING, UNKNOWN = Verdict.FAILED, Verdict.WARNING, Verdict.UNKNOWN
LAYERS = "source.disks.0.layers"
LAYER = Layer(FILE, "raw", SIZE, 60 * MIB)
STORAGE = "api.storages.vmdata"
OTHERS = {101: Present("compta", "")}
FULL = StorageFacts("lvmthin", ("images",), active=True, free=1 << 40)


def other_bus(facts: Facts, **source: Any) -> Facts:
    """Return facts of a guest whose disk will hang on another bus than now."""
    disk = replace(facts.seen.disks[0], bus="sata")
    return replace(facts, source=replace(facts.seen, disks=(disk,), **source))


def guest(**keys: Any) -> Facts:
    return replace(good(), town=town(**keys))


def thin(data: float, meta: float) -> Facts:
    return broken("node.thin_pools", {"data": (data, meta)}, broken(STORAGE, FULL))


def windows(**keys: Any) -> SystemDisk:
    return SystemDisk("vda", "gpt", windows=Windows(**keys))


SATA = tuple(disk.model_copy(update={"bus": "sata"}) for disk in good().guest.disks)
FROM_FILES = tuple(
    disk.model_copy(update={"file": Path("/exports/compta.raw")}) for disk in good().guest.disks
)
E1000 = tuple(nic.model_copy(update={"model": "e1000"}) for nic in good().guest.nics)
# What is wrong, what the check says then, and a part of the value that it measured.
BROKEN: dict[str, tuple[Facts, Verdict, str]] = {
    "source-reachable": (broken("old.error", "no route to host"), FAILED, "no route"),
    "guest-known": (replace(good(), source=None), FAILED, "compta"),
    "guest-works": (broken("source.state", "paused"), FAILED, "paused"),
    "disks-as-listed": (broken("source.disks.0.name", "vdb"), FAILED, "vdb (raw)"),
    "disk-sizes-as-listed": (broken(f"{LAYERS}.0.size", SIZE + 1), FAILED, "193 MiB"),
    "macs-as-listed": (broken("source.macs", ()), FAILED, "none"),
    "qemu-answers": (broken("source.monitor_error", "locked"), FAILED, "locked"),
    "qemu-new-enough": (broken("source.qemu", (4, 2)), FAILED, "4.2"),
    "disk-format-known": (broken(f"{LAYERS}.0.format", "parallels"), FAILED, "parallels"),
    "backing-chain-whole": (
        broken(LAYERS, (replace(LAYER, backing="base.qcow2"), LAYER)), WARNING, "base.qcow2"
    ),
    "disk-not-encrypted": (broken(f"{LAYERS}.0.encrypted", value=True), FAILED, "vda"),
    "no-snapshot": (broken("source.snapshots", ("before-update",)), FAILED, "before-update"),
    "no-saved-state": (broken("source.saved", value=True), FAILED, "saved"),
    "no-other-bitmap": (broken("source.bitmaps", ("veeam-1",)), WARNING, "veeam-1"),
    "no-block-job": (broken("source.lock", "backup"), FAILED, "lock backup"),
    "no-other-export": (broken("source.exports", ("backup",)), FAILED, "backup"),
    "disk-cache-safe": (broken("source.disks.0.cache", "unsafe"), WARNING, "vda"),
    "disk-not-shared": (broken("source.disks.0.users", ("dossiers",)), FAILED, "dossiers"),
    "no-bound-device": (broken("source.devices", ("disk", "hostdev")), FAILED, "hostdev"),
    "source-disks-healthy": (broken("old.disk_errors", ("sda: I/O error",)), WARNING, "I/O error"),
    "source-filesystem-clean": (
        broken("old.filesystem_errors", ("dm-1: 3 errors",)), FAILED, "dm-1"
    ),
    "firmware-variables-fit": (
        broken("source.firmware", Firmware("/v.fd", 540_672)), FAILED, "town.yml says bios"
    ),
    "guest-agent-answers": (broken("source.agent", value=False), WARNING, "no"),
    "power-button-works": (broken("source.acpi", value=False), FAILED, "no ACPI"),
    "autostart-as-listed": (broken("source.autostart", value=False), WARNING, "does not start"),
    "copy-fresh": (broken("copies.age_hours", 30.0), WARNING, "30 h"),
    "bitmap-memory": (broken("old.memory_available", 50 * MIB), FAILED, "of 50 MiB"),
    "machine-kept": (guest(machine_version=None), WARNING, "pc-q35-7.2 -> q35"),
    "smbios-kept": (guest(smbios=Smbios(uuid=UUID(int=1))), WARNING, "-> 00000000"),
    "cpu-kept": (guest(cpu=None), WARNING, "host -> kvm64"),
    "cpu-flags-kept": (broken("node.cpu_flags", frozenset({"aes"})), FAILED, "lost: avx2"),
    "generation-kept": (guest(vmgenid=None), WARNING, "-> a new one"),
    "disks-look-alike": (guest(disks=SATA), WARNING, "vda.bus: virtio -> sata"),
    "cards-look-alike": (guest(nics=E1000), WARNING, "virtio -> e1000"),
    "clock-kept": (guest(clock="localtime"), WARNING, "utc -> localtime"),
    "tpm-kept": (guest(tpm="2.0"), FAILED, "none -> 2.0, empty"),
    "boot-trust-kept": (guest(firmware="uefi"), FAILED, "bios -> uefi"),
    "system-known": (
        other_bus(broken("source.inside.kernel", "2.6.18-8.el5")), FAILED, "sata -> virtio"
    ),
    "boot-driver-ready": (other_bus(good()), UNKNOWN, "initramfs"),
    "network-names-fixed": (
        broken("source.inside.interfaces", (("enp1s0", MAC),)), WARNING, "enp1s0"
    ),
    "fstab-by-uuid": (
        other_bus(broken("source.inside.files", {"/etc/fstab": "/dev/sda1 /boot/efi vfat"})),
        FAILED,
        "/etc/fstab: /dev/sda1",
    ),
    "room-inside": (broken("source.inside.free", {"/boot": 9 * MIB}), WARNING, "/boot: 9 MiB"),
    "no-pending-update": (
        broken("source.systems", (windows(pending_updates=True),)), FAILED, "pending.xml"
    ),
    "database-known": (
        broken("source.inside.files", {"/proc/net/tcp": "h\n0: 00000000:1538 0:0 0A\n"}),
        WARNING,
        "PostgreSQL: 15 s",
    ),
    "ports-known": (
        broken("source.inside", None, guest(witness=None)), UNKNOWN, "does not tell"
    ),
    "address-known": (
        guest(nics=tuple(n.model_copy(update={"address": None}) for n in good().guest.nics)),
        WARNING,
        "none",
    ),
    "windows-shuts-down-whole": (
        broken("source.systems", (windows(hibernated=True, fast_startup=True),)),
        FAILED,
        "hibernated, Fast Startup",
    ),
    "system-disk-plain": (broken("source.systems.0.dynamic", "LDM"), FAILED, "vda: LDM"),
    "recovery-key-known": (
        broken("source.systems.0.encrypted", "BitLocker"), FAILED, "BitLocker"
    ),
    "domain-controller-alone": (
        broken("source.systems", (windows(domain_controller=True),)), WARNING, "generation id kept"
    ),
    "node-lets-us-in": (broken("api.error", "401 no ticket"), FAILED, "401"),
    "node-version": (broken("api.version", "8.4.1"), FAILED, "8.4.1"),
    "node-has-libnbd": (broken("node.libnbd", None), FAILED, "missing"),
    "node-has-sshfs": (
        replace(guest(disks=FROM_FILES), node=replace(good().node, sshfs=None)), FAILED, "missing"
    ),
    "storage-takes-disks": (broken(f"{STORAGE}.content", ("iso",)), FAILED, "iso"),
    "space-enough": (broken(f"{STORAGE}.free", 400 * MIB), FAILED, "422 MiB needed, 400 MiB free"),
    "thin-pool-has-room": (thin(40.0, 97.5), FAILED, "meta 97.5 %"),
    "volume-reads-zero": (broken(f"{STORAGE}.type", "lvm"), FAILED, "lvm"),
    "vmid-free": (broken("api.guests", OTHERS), FAILED, "101"),
    "no-foreign-volume": (
        broken(f"{STORAGE}.volumes", {101: ("vmdata:101/vm-101-disk-0.raw",)}), FAILED, "disk-0"
    ),
    "name-free": (broken("api.guests", {300: Present("compta", "")}), WARNING, "300"),
    "mac-free": (broken("node.macs", {MAC: "300"}), FAILED, "guest 300"),
    "bridge-there": (broken("node.bridges", {"br0": Bridge(9000, "up")}), FAILED, "MTU 9000"),
    "memory-enough": (broken("node.memory_available", 300 * MIB), FAILED, "512 MiB needed"),
    "ups-on-line": (broken("node.ups", {"ups1": "OB DISCHRG"}), FAILED, "OB"),
    "node-quiet": (broken("node.busy", ("vzdump 101",)), WARNING, "vzdump"),
    "clocks-agree": (broken("old.clock", 3700.0), FAILED, "3700 s apart"),
    "host-keys-pinned": (broken("path.pinned", {"old": False, "pve1": True}), FAILED, "old"),
    "path-measured": (broken("path.rate", 0.0), FAILED, "nothing"),
    "path-takes-full-frames": (broken("path.mtu", value=False), FAILED, "lost"),
    "office-traffic-spared": (broken("seed", 90_000.0), WARNING, "25 h"),
    "address-not-taken": (
        broken("node.neighbours", {"198.51.100.21": "02:00:00:00:00:09"}), FAILED, "00:09"
    ),
    "forwarding-allowed": (broken("old.forwarding", "no yes"), FAILED, "no yes"),
    "window-long-enough": (broken("window", 400.0), FAILED, "8 min 0 s of 6 min 40 s"),
}  # fmt: skip


def said(facts: Facts, id_: str, waivers: dict[str, str] | None = None) -> Result:
    return next(one for one in judge(CHECKS, facts, waivers or {}) if one.id == id_)


def test_a_guest_with_nothing_in_its_way_passes_every_check() -> None:
    assert [r for r in judge(CHECKS, good(), {}) if r.verdict is not Verdict.PASSED] == []


def test_every_check_is_broken_here() -> None:
    assert set(BROKEN) == set(BY_ID)


@pytest.mark.parametrize("id_", BROKEN)
def test_what_is_wrong_is_said_with_value_and_remedy(id_: str) -> None:
    facts, verdict, value = BROKEN[id_]

    result = said(facts, id_)

    assert (result.verdict, value in result.value) == (verdict, True), result
    assert result.remedy


@pytest.mark.parametrize("id_", BROKEN)
def test_a_host_that_tells_nothing_never_passes_as_good(id_: str) -> None:
    """With nothing read at all only what the town file alone says may pass."""
    by_town = {"address-known", "host-keys-pinned", "copy-fresh", "node-has-sshfs"}
    good_one = good()
    mute = replace(
        good_one,
        old=replace(type(good_one.old)("old"), error="no answer"),
        node=replace(type(good_one.node)("pve1"), error="no answer"),
        api=type(good_one.api)("no answer"),
        source=None,
        source_error="no answer",
        seed=None,
        downtime=None,
        path=replace(good_one.path, rate=None, mtu=None),
    )

    result = said(mute, id_)

    assert result.verdict is not Verdict.PASSED or id_ in by_town, result


def test_a_plan_stops_for_a_failure_and_for_what_must_be_known() -> None:
    assert said(BROKEN["no-snapshot"][0], "no-snapshot").stops
    assert said(BROKEN["boot-driver-ready"][0], "boot-driver-ready").stops
    assert not said(BROKEN["copy-fresh"][0], "copy-fresh").stops
    assert not said(BROKEN["ports-known"][0], "ports-known").stops


def test_a_waiver_lets_one_failure_pass_and_is_kept() -> None:
    result = said(BROKEN["no-snapshot"][0], "no-snapshot", {"no-snapshot": "old, C.D."})

    assert not result.stops
    assert result.verdict is Verdict.FAILED
    assert result.as_dict()["waived"] == "old, C.D."


def test_a_waiver_of_what_passes_is_not_noted() -> None:
    assert said(good(), "no-snapshot", {"no-snapshot": "x"}).waived == ""


def test_the_names_are_those_of_the_lab() -> None:
    assert (LAB / "town.yml").exists()
    assert all(check.id == check.id.lower() and " " not in check.id for check in CHECKS)
    assert all(check.title and check.reads and check.remedy and check.code for check in CHECKS)


def test_a_volume_belongs_to_the_guest_that_names_it_whatever_its_name_says() -> None:
    volume = "vmdata:101/vm-101-disk-0.raw"
    there = broken(f"{STORAGE}.volumes", {101: (volume,)})
    facts = broken("node.volumes", {volume: "100"}, there)

    result = said(facts, "no-foreign-volume")

    assert result.stops
    assert result.value == f"{volume} of guest 100"


def test_what_an_earlier_run_of_ours_left_is_no_obstacle() -> None:
    volume = "vmdata:101/vm-101-disk-0.raw"
    ours = broken(
        "api.guests", {101: Present("compta", "ab12")}, broken("runs", frozenset({"ab12"}))
    )
    facts = broken(f"{STORAGE}.volumes", {101: (volume,)}, broken("node.macs", {MAC: "101"}, ours))

    for id_ in ("vmid-free", "no-foreign-volume", "mac-free", "name-free"):
        assert said(facts, id_).verdict is Verdict.PASSED, id_


def test_a_run_of_somebody_else_is_an_obstacle() -> None:
    facts = broken("api.guests", {101: Present("compta", "ffff")})

    assert said(facts, "vmid-free").stops


def test_a_guest_that_is_off_is_told_both_ways_to_move() -> None:
    result = said(broken("source.state", "shut off"), "guest-works")

    assert result.verdict is FAILED
    assert "start it there and it moves while it works" in result.remedy
    assert f"give each of its disks its `file` in town.yml (vda: {FILE})" in result.remedy


def test_on_the_same_bus_kernel_names_are_told_and_stop_nothing() -> None:
    facts = broken("source.inside.files", {"/etc/fstab": "/dev/vda1 / ext4\n"})

    assert said(facts, "fstab-by-uuid").verdict is WARNING


def test_a_windows_with_its_driver_may_change_its_bus() -> None:
    with_driver = windows(boot_drivers=frozenset({"viostor"}))
    facts = other_bus(good(), systems=(with_driver,))
    without = other_bus(good(), systems=(windows(boot_drivers=frozenset()),))

    assert said(facts, "boot-driver-ready").verdict is Verdict.PASSED
    assert said(without, "boot-driver-ready").stops


def test_a_windows_whose_disk_cannot_be_read_is_never_taken_for_whole() -> None:
    dark = SystemDisk("vda", error="cannot be read: torn")
    facts = broken("source.systems", (dark,), broken("source.inside", None))

    for id_ in ("windows-shuts-down-whole", "recovery-key-known", "domain-controller-alone"):
        assert said(facts, id_).verdict is UNKNOWN, id_


@pytest.mark.parametrize(
    ("version", "source", "kept"),
    [("2.0", "", True), ("1.2", "", False), ("2.0", "<source type='dir' path='/x'/>", False)],
)
def test_the_state_of_an_emulated_tpm_goes_along(version: str, source: str, *, kept: bool) -> None:
    backend = f"<backend type='emulator' version='{version}'>{source}</backend>"
    tpm = f"<tpm model='tpm-crb'>{backend}</tpm></devices>"
    domain = parse_domain(DOMAIN.replace("</devices>", tpm), "compta")

    result = said(broken("source.domain", domain, guest(tpm=version)), "tpm-kept")

    assert result.stops is not kept
    assert f"{version} with its state" in result.value
