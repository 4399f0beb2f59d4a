"""A guest is made ready while it works: what is needed and no more, and back byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.migrate.prepare_tree import DRIVERS, KERNEL, Guest, guest_in

from releve.migrate.prepare import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.tmpdir import TempPathFactory

MAC, OTHER = "52:54:00:91:00:01", "52:54:00:91:00:02"
LINK = "/etc/systemd/network/10-releve-ens3.link"
IMAGE = f"/boot/initrd.img-{KERNEL}"
DONE, CHANGES, FOR_A_PERSON = 0, 3, 4


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return guest_in(tmp_path)


def needy(guest: Guest) -> None:
    """Let it need everything."""
    guest.card("ens3", MAC)
    guest.disk("/dev/vda1", "6f-1")
    guest.write("/etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n", 0o640)
    guest.write("/etc/network/interfaces", "allow-hotplug ens3\niface ens3 inet dhcp\n")
    guest.kernel(image=("virtio_pci",))


def test_a_guest_that_needs_nothing_is_left_alone(guest: Guest) -> None:
    before = guest.tree()

    code, lines = guest.run()

    assert (code, lines[-1]) == (DONE, "changed 0, left 0")
    assert guest.tree() == before


def test_what_is_needed_is_done_once_and_undone_to_the_byte(guest: Guest) -> None:
    needy(guest)
    before = guest.tree()

    assert guest.run("--check")[0] == CHANGES
    assert guest.tree() == before, "looking changed something"
    shown = "\n".join(guest.log)
    assert "-/dev/vda1 / ext4 defaults 0 1" in shown
    assert "+UUID=6f-1 / ext4 defaults 0 1" in shown
    assert f"would change {LINK}: ens3 is {MAC} (/etc/network/interfaces)" in shown

    assert guest.run()[0] == DONE
    assert guest.log[-1] == "changed 4, left 0"
    assert guest.read("/etc/fstab") == "UUID=6f-1 / ext4 defaults 0 1\n"
    assert (guest.root / "etc/fstab").stat().st_mode & 0o777 == 0o640
    assert all(f"{driver}.ko" in guest.read(IMAGE) for driver in DRIVERS)
    assert "10-releve-ens3.link" in guest.read(IMAGE), "the initramfs names the cards too"
    prepared = guest.tree()

    assert guest.run()[0] == DONE
    assert guest.log[-1] == "changed 0, left 0"
    assert guest.tree() == prepared

    assert guest.run("--undo")[0] == DONE
    after = guest.tree()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"etc/systemd", "var/lib/initramfs-tools"}
    assert guest.run("--undo") == (DONE, ["nothing was prepared here", "changed 0, left 0"])


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_each_shell_does_the_same(guest: Guest, shell: str) -> None:
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{shell} is not here")
    needy(guest)
    before = guest.tree()

    assert guest.run(shell=shell) == (DONE, guest.log)
    assert guest.log[-1] == "changed 4, left 0"
    assert guest.run("--undo", shell=shell)[0] == DONE
    assert {name: guest.tree()[name] for name in before} == before


def test_the_script_is_what_shellcheck_wants() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here")
    subprocess.run(["shellcheck", str(SCRIPT)], check=True, timeout=60)


FSTAB = [
    ("/dev/sda1 / ext4 defaults 0 1", "UUID=u1 / ext4 defaults 0 1"),
    ("  /dev/sda1\t/\text4\tdefaults\t0\t1  # root", "  UUID=u1\t/\text4\tdefaults\t0\t1  # root"),
    ("/dev/nvme0n1p2 none swap sw 0 0", "UUID=u2 none swap sw 0 0"),
    ("/dev/disk/by-path/pci-0000:00:05.0-part1 /a xfs", "UUID=u3 /a xfs"),
    ("/dev/disk/by-id/virtio-data-part1 /b xfs", "UUID=u4 /b xfs"),
    ("/dev/sdc /pool btrfs subvol=@ 0 0", "UUID=u5 /pool btrfs subvol=@ 0 0"),
    *[
        (line, line)
        for line in [
            "# /dev/sda1 was / during installation",
            "",
            "UUID=1 /boot ext2 defaults 0 2",
            "LABEL=data /srv ext4 defaults 0 2",
            "PARTUUID=77-01 /efi vfat umask=0077 0 1",
            "/dev/mapper/vg-root /x ext4",
            "/dev/vg/home /home ext4",
            "/dev/vdata/root /y ext4",
            "/dev/disk/by-id/dm-uuid-LVM-x /z ext4",
            "/dev/sr0 /media/cdrom udf,iso9660 user,noauto 0 0",
            "nas:/dev/sda1 /mnt nfs defaults 0 0",
            "//nas/share /share cifs credentials=/root/x 0 0",
            "tmpfs /tmp tmpfs defaults 0 0",
            "/dev/sdz9 /usb auto noauto,user 0 0",
            "broken",
            "/swapfile none swap sw 0 0",
        ]
    ],
]
DEVICES = [
    ("/dev/sda1", "u1", "ext4"),
    ("/dev/nvme0n1p2", "u2", "swap"),
    ("/dev/disk/by-path/pci-0000:00:05.0-part1", "u3", "xfs"),
    ("/dev/disk/by-id/virtio-data-part1", "u4", "xfs"),
    ("/dev/sdc", "u5", "btrfs"),
    ("/dev/sdd", "u5", "btrfs"),
]


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lines=st.lists(st.sampled_from(FSTAB), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "", "\n\n", "\r\n"]),
)
def test_only_names_by_slot_change_in_any_fstab(
    tmp_path_factory: TempPathFactory, lines: list[tuple[str, str]], end: str
) -> None:
    guest = guest_in(tmp_path_factory.mktemp("guest"))
    for device in DEVICES:
        guest.disk(*device)
    before = "\n".join(line for line, _ in lines) + end
    guest.write("/etc/fstab", before)

    assert guest.run()[0] == DONE, guest.log

    assert (guest.root / "etc/fstab").read_bytes().decode() == "\n".join(
        line for _, line in lines
    ) + end
    guest.run("--undo")
    assert (guest.root / "etc/fstab").read_bytes().decode() == before


def test_crypttab_names_its_device_in_the_second_column(guest: Guest) -> None:
    guest.disk("/dev/sda2", "c2", "crypto_LUKS")
    guest.write(
        "/etc/crypttab", "data  /dev/sda2 none luks\nswap /dev/sda3 /dev/urandom swap,nofail\n"
    )

    assert guest.run()[0] == DONE
    assert guest.read("/etc/crypttab") == (
        "data  UUID=c2 none luks\nswap /dev/sda3 /dev/urandom swap,nofail\n"
    )
    assert f"changed {IMAGE}: is made anew with the files above" in guest.log


@pytest.mark.parametrize(
    ("fstab", "why"),
    [
        ("/dev/sdx1 / ext4 defaults 0 1\n", "/dev/sdx1 has no UUID that could be read"),
        ("/dev/sda9 /srv ext4\n", "2 devices have the UUID twin of /dev/sda9"),
        ("/dev/sdb1 /pv ext4\n", "/dev/sdb1 is a LVM2_member"),
    ],
)
def test_what_cannot_be_named_by_uuid_is_left_for_a_person(
    guest: Guest, fstab: str, why: str
) -> None:
    guest.disk("/dev/sda9", "twin")
    guest.disk("/dev/sdb9", "twin")
    guest.disk("/dev/sdb1", "pv", "LVM2_member")
    guest.write("/etc/fstab", fstab)

    assert guest.run()[0] == FOR_A_PERSON
    assert any(line.startswith("left fstab-by-uuid: ") and why in line for line in guest.log)
    assert not any(line.startswith("good fstab-by-uuid") for line in guest.log)
    assert guest.read("/etc/fstab") == fstab


def test_a_kernel_that_is_told_a_name_is_left_for_a_person(guest: Guest) -> None:
    guest.disk("/dev/sda2", "r2")
    guest.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda2 ro\n")

    assert guest.run()[0] == FOR_A_PERSON
    assert any("boot loader say root=UUID=r2" in line for line in guest.log)


def test_an_fstab_that_is_a_link_is_left_for_a_person(guest: Guest) -> None:
    guest.disk("/dev/sda1", "u1")
    real = guest.write("/etc/fstab.real", "/dev/sda1 / ext4\n")
    (guest.root / "etc/fstab").unlink()
    (guest.root / "etc/fstab").symlink_to("fstab.real")

    assert guest.run()[0] == FOR_A_PERSON
    assert real.read_text() == "/dev/sda1 / ext4\n"


def links(guest: Guest) -> list[str]:
    return sorted(file.name for file in guest.root.glob("etc/systemd/network/10-releve-*.link"))


def test_a_link_names_the_card_and_nothing_that_stands_on_it(guest: Guest) -> None:
    guest.card("enp1s0", MAC.upper())
    (guest.root / "sys/class/net/br0").mkdir()  # no device behind it

    assert guest.run()[0] == DONE
    assert links(guest) == ["10-releve-enp1s0.link"]
    rows = guest.read("/etc/systemd/network/10-releve-enp1s0.link").splitlines()
    assert [row for row in rows if not row.startswith("#")] == [
        "[Match]", f"MACAddress={MAC}", "Path=*", "", "[Link]", "Name=enp1s0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("/etc/systemd/network/70-lan.link", f"MACAddress={MAC.upper()}\n[Link]\nName=ens3\n"),
        ("/run/systemd/network/10-ens3.link", f"PermanentMACAddress={MAC}\n[Link]\nName=ens3\n"),
        ("/etc/udev/rules.d/70-persistent-net.rules", f'ATTR{{address}}=="{MAC}", NAME="ens3"\n'),
    ],
)  # fmt: skip
def test_a_card_that_is_named_by_its_address_already_stays(
    guest: Guest, file: str, text: str
) -> None:
    guest.card("ens3", MAC)
    guest.write(file, text)

    assert guest.run()[0] == DONE
    assert guest.log[-1] == "changed 0, left 0"
    assert f"good network-names-fixed: ens3 by {file}" in guest.log


def test_a_name_that_comes_with_the_next_start_is_told(guest: Guest) -> None:
    guest.card("ens3", MAC)
    guest.write(
        "/etc/systemd/network/70-lan.link", f"[Match]\nMACAddress={MAC}\n[Link]\nName=lan0\n"
    )

    assert guest.run()[0] == FOR_A_PERSON
    assert any("restart the guest once" in line for line in guest.log)
    assert links(guest) == []


def test_a_comment_names_no_card(guest: Guest) -> None:
    guest.card("ens3", MAC)
    guest.write("/etc/udev/rules.d/70-persistent-net.rules", f'# "{MAC}", NAME="ens3"\n')

    assert guest.run()[0] == DONE
    assert links(guest) == ["10-releve-ens3.link"]


def test_names_of_the_kernel_are_not_given_by_udev(guest: Guest) -> None:
    guest.card("eth0", MAC)
    guest.card("eth1", OTHER)

    assert guest.run()[0] == DONE
    assert links(guest) == []


def test_a_card_in_a_bond_is_known_by_its_own_address(guest: Guest) -> None:
    first = guest.card("ens3", MAC)
    second = guest.card("ens4", MAC)
    for card, mac in ((first, MAC), (second, OTHER)):
        (card / "bonding_slave").mkdir()
        (card / "bonding_slave/perm_hwaddr").write_text(f"{mac}\n")

    assert guest.run()[0] == DONE
    assert f"MACAddress={OTHER}" in guest.read("/etc/systemd/network/10-releve-ens4.link")


def test_an_address_that_was_set_is_not_the_cards(guest: Guest) -> None:
    card = guest.card("ens3", "02:00:00:00:00:99", assigned="3")
    (card / "burnt").write_text(f"{MAC}\n")

    assert guest.run()[0] == DONE
    assert f"MACAddress={MAC}" in guest.read(LINK)


def test_two_cards_of_one_address_are_left_for_a_person(guest: Guest) -> None:
    guest.card("ens3", MAC)
    guest.card("ens4", MAC)

    assert guest.run()[0] == FOR_A_PERSON
    assert links(guest) == []


def test_without_systemd_the_cards_are_left_for_a_person(guest: Guest) -> None:
    guest.card("ens3", MAC)
    (guest.root / "usr/lib/systemd/network").rmdir()

    assert guest.run()[0] == FOR_A_PERSON
    assert links(guest) == []


def test_drivers_that_are_built_in_are_not_asked_for(guest: Guest) -> None:
    guest.kernel(has=(), image=())
    builtin = "".join(f"kernel/{driver}.ko\n" for driver in DRIVERS)
    guest.write(f"lib/modules/{KERNEL}/modules.builtin", builtin)

    assert guest.run() == (DONE, guest.log)
    assert guest.log[-1] == "changed 0, left 0"


def test_a_kernel_without_a_driver_is_left_for_a_person(guest: Guest) -> None:
    guest.kernel(has=("virtio_pci", "virtio_blk", "sd_mod"))

    assert guest.run()[0] == FOR_A_PERSON
    assert f"left boot-driver-ready: kernel {KERNEL} has no virtio_scsi" in guest.log


def test_dracut_gets_a_file_of_its_own(guest: Guest) -> None:
    (guest.root / "usr/sbin/mkinitramfs").unlink()
    guest.write("usr/bin/dracut", "", 0o755)
    (guest.root / IMAGE[1:]).unlink()
    guest.write(f"boot/initramfs-{KERNEL}.img", "kernel/ext4.ko.xz\n")
    before = guest.tree()

    assert guest.run()[0] == DONE
    image = guest.read(f"boot/initramfs-{KERNEL}.img")
    assert all(f"/{driver}.ko" in image for driver in DRIVERS)
    assert guest.run("--undo")[0] == DONE
    assert guest.tree() == before


def test_an_unknown_maker_of_the_initramfs_is_left_for_a_person(guest: Guest) -> None:
    (guest.root / "usr/sbin/mkinitramfs").unlink()

    assert guest.run()[0] == FOR_A_PERSON


def test_an_initramfs_that_cannot_be_made_is_given_back(guest: Guest) -> None:
    guest.kernel(image=())
    before = guest.read(IMAGE)
    guest.write("broken", "")

    assert guest.run()[0] == FOR_A_PERSON
    assert guest.read(IMAGE) == before
    assert any("no space left" in line for line in guest.log)

    (guest.root / "broken").unlink()
    assert guest.run()[0] == DONE, "and is made by the next run"
    guest.run("--undo")
    assert guest.read(IMAGE) == before


def test_a_file_that_somebody_changed_since_is_not_given_back_over_it(guest: Guest) -> None:
    needy(guest)
    guest.run()
    guest.write("/etc/fstab", "UUID=6f-1 / ext4 noatime 0 1\n")

    assert guest.run("--undo")[0] == FOR_A_PERSON
    assert guest.read("/etc/fstab") == "UUID=6f-1 / ext4 noatime 0 1\n"
    assert any("left undo: /etc/fstab was changed since" in line for line in guest.log)
    assert not (guest.root / LINK[1:]).exists(), "the rest is given back"


def test_an_initramfs_that_was_made_since_is_made_again_without_us(guest: Guest) -> None:
    needy(guest)
    guest.run()
    guest.write(IMAGE, "of an upgrade\n")

    assert guest.run("--undo")[0] == DONE
    assert "virtio_blk" not in guest.read(IMAGE)
    assert "of an upgrade" not in guest.read(IMAGE)


def test_a_run_that_was_killed_before_the_initramfs_has_it_made_by_the_next_one(
    guest: Guest,
) -> None:
    guest.card("ens3", MAC)
    sync = guest.programs / "sync"
    sync.write_text(f'#!/bin/sh\n! grep -q made "{guest.root}/var/lib/releve/prepare/journal" ||'
                    ' kill -9 "$PPID"\n')  # fmt: skip
    guest.run()
    assert links(guest) == ["10-releve-ens3.link"]
    assert "10-releve-ens3.link" not in guest.read(IMAGE)
    sync.write_text("#!/bin/sh\n")

    assert guest.run()[0] == DONE
    assert "10-releve-ens3.link" in guest.read(IMAGE)
    assert guest.run()[1][-1] == "changed 0, left 0"


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 5, 6, 9, 10, 11])  # of 14 lines in its journal
def test_a_run_that_was_killed_is_ended_by_the_next_one_or_undone(guest: Guest, steps: int) -> None:
    needy(guest)
    before = guest.tree()
    sync = guest.programs / "sync"  # one follows each line of the journal
    sync.write_text(
        f'#!/bin/sh\necho x >>"{guest.programs}/count"\n'
        f'[ "$(wc -l <"{guest.programs}/count")" -lt {steps} ] || kill -9 "$PPID"\n'
    )
    sync.chmod(0o755)
    guest.run()
    sync.write_text("#!/bin/sh\n")

    if steps % 2:
        assert guest.run()[0] == DONE
        assert guest.read("/etc/fstab").startswith("UUID=6f-1 ")
        assert all(f"{driver}.ko" in guest.read(IMAGE) for driver in DRIVERS)
    assert guest.run("--undo")[0] == DONE
    after = guest.tree()
    assert {name: after[name] for name in before} == before
