"""A guest whose storage comes late is started when it is there, and nobody else is touched."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from releve.power.late import Sleeper, is_fresh, sleeper_of, start_late, unmounted

LOCAL = frozenset({"local-lvm"})
LOCAL_GUEST = Sleeper(110, "compta", "qemu", 1, LOCAL)
LATE = Sleeper(120, "dossiers", "qemu", 2, frozenset({"nfs"}))
LATER = Sleeper(121, "plans", "lxc", 1, frozenset({"nfs", "local-lvm"}))


@dataclass
class World:
    """Time that passes by sleeping; the share answers from `nfs_at` on."""

    guests: list[Sleeper]
    nfs_at: float = 140
    battery_until: float = 0
    fault: str = ""
    clock: float = 0
    started: list[tuple[float, int]] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def sleepers(self) -> list[Sleeper]:
        up = {vmid for _when, vmid in self.started} if not self.fault else set()
        return [one for one in self.guests if one.vmid not in up]

    def active(self) -> frozenset[str]:
        return LOCAL | ({"nfs"} if self.clock >= self.nfs_at else set())

    def on_battery(self) -> bool:
        return self.clock < self.battery_until

    def start(self, guest: Sleeper) -> str:
        self.started.append((self.clock, guest.vmid))
        return self.fault

    def alarm(self, text: str) -> None:
        self.alarms.append(text)

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_r_w08_a_guest_is_started_within_30_s_of_its_storage() -> None:
    # The start of all, at 25 s, has brought up 110.
    world = World([LATE], clock=25)

    assert start_late(world) == [120]
    assert [140 <= when <= 170 for when, _vmid in world.started] == [True]
    assert world.alarms == []


def test_guests_of_one_storage_start_in_their_order() -> None:
    world = World([LATE, LATER])
    start_late(world)

    assert [vmid for _when, vmid in world.started] == [121, 120]


def test_r_w08_who_waits_in_vain_is_named_once_with_the_storage() -> None:
    world = World([LATE], nfs_at=10_000)

    assert start_late(world) == []
    assert 600 <= world.clock <= 620
    (said,) = world.alarms
    assert "dossiers (120)" in said
    assert "its storage nfs is not there" in said


def test_a_guest_whose_storage_is_there_was_stopped_by_somebody() -> None:
    world = World([LOCAL_GUEST, LATE], nfs_at=10_000)
    start_late(world)

    assert world.started == []
    assert len(world.alarms) == 1


def test_r_w07_no_guest_is_started_while_a_ups_is_on_battery() -> None:
    world = World([LATE], nfs_at=20, battery_until=300)
    start_late(world)

    assert [when >= 300 for when, _vmid in world.started] == [True]


def test_mains_that_stay_away_are_named_not_the_storage() -> None:
    world = World([LATE], nfs_at=20, battery_until=10_000)
    start_late(world)

    assert world.started == []
    assert world.alarms == [
        "guest dossiers (120) was not started after the boot: the mains are not there"
    ]


def test_whom_an_administrator_has_started_is_left_alone() -> None:
    world = World([LATE])

    def sleepers() -> list[Sleeper]:
        return [LATE] if world.clock < 100 else []

    world.sleepers = sleepers  # type: ignore[method-assign]
    assert start_late(world) == []
    assert world.alarms == []
    assert world.clock < 200


def test_a_start_that_fails_is_tried_once_and_said() -> None:
    world = World([LATE], fault="volume does not exist")
    start_late(world)

    assert len(world.started) == 1
    assert world.alarms == ["guest dossiers (120) was not started: volume does not exist"]


def test_with_nobody_late_it_ends_at_once() -> None:
    world = World([LOCAL_GUEST])

    assert start_late(world) == []
    assert world.clock == 0


QEMU = """\
name: dossiers
onboot: 1
startup: order=2,up=120
scsi0: nfs:120/vm-120-disk-0.qcow2,size=32G
efidisk0: local-lvm:vm-120-disk-1,size=4M
ide2: local:iso/debian.iso,media=cdrom
sata1: none,media=cdrom
scsi3: /dev/disk/by-id/ata-x,size=1G
unused0: old:vm-120-disk-9
[before]
scsi1: gone:vm-120-disk-0
"""


def test_the_storages_of_a_guest_are_those_of_its_disks() -> None:
    found = sleeper_of(QEMU, "qemu", 120)

    assert found == Sleeper(120, "dossiers", "qemu", 2, frozenset({"nfs", "local-lvm", "local"}))
    container = sleeper_of(
        "hostname: web\nonboot: 1\nrootfs: nfs:subvol\nmp0: /srv,mp=/srv\n", "lxc", 7
    )
    assert container is not None
    assert container.storages == {"nfs"}


@pytest.mark.parametrize("text", ["name: a\n", "onboot: 0\n", "onboot: 1\ntemplate: 1\n", ""])
def test_who_does_not_start_at_boot_is_nobody(text: str) -> None:
    assert sleeper_of(text, "qemu", 1) is None


def test_a_folder_that_is_still_to_be_mounted_is_no_storage() -> None:
    storages = (
        "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n"
        "dir: usb\n\tpath /mnt/usb/images\n\tcontent images\n\n"
        "nfs: share\n\tpath /mnt/pve/share\n"
    )
    fstab = "/dev/sda1 / ext4 defaults 0 1\nUUID=1 /mnt/usb ext4 nofail 0 2\n# x\n"

    assert unmounted(storages, fstab, "/dev/sda1 / ext4 rw 0 0\n") == {"usb"}
    assert unmounted(storages, fstab, "/dev/sdb1 /mnt/usb ext4 rw 0 0\n") == frozenset()
    assert unmounted("", "", "") == frozenset()


def test_only_a_host_that_has_just_booted_has_something_to_make_up_for() -> None:
    assert is_fresh("42.0 80.1\n")
    assert not is_fresh("86400.5 1.0\n")
    assert not is_fresh("")
