"""A Debian is prepared over ssh while it works, and then wakes on quite another machine.

Its old one has an IDE disk and a card in one slot; the next one has virtio, in another slot. What
is asked is asked of the guest's own tools. The tests are one story and run in its order.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenario import watch
from tests.scenario.beside import Beside
from tests.scenario.stage import tell

from releve.command import run
from releve.lab import debian, images
from releve.lab.domains import IMAGES_FOLDER, domain
from releve.lab.podman import files_of
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
NAME, MAC, ADDRESS = "guichet", "52:54:00:91:00:0c", "198.51.100.25"
GUEST: dict[str, Any] = {
    "vmid": 112, "source": "old", "target": "pve1", "storage": "vmdata", "pool": "services",
    "firmware": "bios", "machine": "pc", "memory_mib": 512, "cpus": 2, "login": "root",
    "smbios": {"uuid": "6e1f0d2c-3b4a-4958-8776-95a4b3c2d1e0"},  # libvirt knows it again by that
    "nics": [{"mac": MAC, "network": "office", "address": ADDRESS}],
    "disks": [{"name": "hda", "format": "raw", "size_mib": debian.SIZE_MIB, "bus": "ide"}],
}  # fmt: skip
CONSOLE = f"/var/log/{NAME}.console"
DISK = f"/{IMAGES_FOLDER}/{NAME}.raw"
PREPARE = ("releve", "-i", ".", "migrate", "prepare", NAME)
BOOT_SECONDS = 300
FILES = "find /etc /boot /var/lib/initramfs-tools /var/lib/releve"
SLOT = "<address type='pci' domain='0x0000' bus='0x00' slot='{:#04x}' function='0x0'/>"


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Beside]:
    """Give the town with this one guest, at work on the lab's old host."""
    images.ensure(tell, [images.DEBIAN])
    guests = {"compta": None, "dossiers": None, NAME: GUEST}
    beside = Beside.of(lab, "prepare", {"guests": guests})
    with files_of(lab.part("old")) as tree:
        debian.make_disk(beside.lab, NAME, tree / DISK.strip("/"))
    start(beside, debian.CARD_SLOT)
    yield beside
    watch.console(lab, "old", f"virsh destroy {NAME} || :; virsh undefine {NAME}; rm {DISK}")


@pytest.fixture(scope="module")
def untouched(town: Beside) -> str:
    """Give every file of it before anybody prepares it: rights and hashes."""
    return files(town)


def start(town: Beside, slot: int, *changes: tuple[str, str]) -> None:
    """Start the guest on a machine with its card in that slot, and let its ssh answer."""
    xml = domain(town.lab.town, NAME).replace("</interface>", SLOT.format(slot) + "</interface>")
    for old, new in changes:
        assert old in xml
        xml = xml.replace(old, new)
    lab = town.lab
    lab.console("old", ["sh", "-c", "cat > /root/machine.xml"], stdin=xml)
    watch.console(lab, "old", f"virsh define /root/machine.xml; virsh start {NAME}")
    deadline = time.monotonic() + BOOT_SECONDS
    while inside(town, "true", check=False) is None:
        assert time.monotonic() < deadline, watch.console(lab, "old", f"tail {CONSOLE}")
        time.sleep(0.5)


def inside(town: Beside, line: str, *, check: bool = True) -> str | None:
    """Run a shell line in the guest; None when it could not be run and that is no fault."""
    there = town.lab.town
    argv = Ssh(NAME, ADDRESS, "root", Ssh.options_of(there)).argv(line)
    done = run(town.lab.workstation(argv), timeout=60, check=check)
    return done.stdout if done.returncode == 0 else None


def files(town: Beside) -> str:
    """Return mode, owner and hash of each file that a preparation may touch."""
    line = f"({FILES} -printf '%m %U:%G %p\\n'; {FILES} -type f -exec sha256sum {{}} +) 2>/dev/null"
    said = inside(town, f"{line} | sort")
    assert said
    return said


def test_a_check_shows_each_change_and_makes_none(town: Beside, untouched: str) -> None:
    said = town.do(*PREPARE, "--check", code=3)

    for file in (f"/etc/systemd/network/10-releve-{debian.CARD}.link", "/etc/fstab", "/boot/init"):
        assert f"would change {file}" in said
    assert files(town) == untouched


def test_it_is_prepared_while_it_works_and_once(town: Beside, untouched: str) -> None:
    town.do(*PREPARE)

    assert files(town) != untouched
    assert "changed 0, left 0" in town.do(*PREPARE)


def test_it_wakes_on_another_machine_as_it_was(town: Beside) -> None:
    """Stopped by its power button; without the preparation it finds neither disk nor network."""
    state = f"LC_ALL=C virsh domstate {NAME} | grep -qx 'shut off'"
    off = f"virsh shutdown {NAME}; until {state}; do sleep 0.2; done"
    watch.console(town.lab, "old", off)

    start(town, 9, ("dev='hda' bus='ide'", "dev='vda' bus='virtio'"))

    card = inside(town, f"cat /sys/class/net/{debian.CARD}/address; findmnt -no SOURCE /")
    assert card == f"{MAC}\n/dev/vda1\n"
    assert inside(town, "systemctl --failed --no-legend") == ""


def test_undo_gives_every_file_back_as_it_was(town: Beside, untouched: str) -> None:
    town.do(*PREPARE, "--undo")

    assert files(town) == untouched
