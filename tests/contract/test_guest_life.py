"""A guest's life by the migration's token: volume, creation, power, removal, on real QEMU."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contract.test_engine import Engine, Objects, engine, objects

from releve.pve.client import PveError, TaskError
from releve.pve.guests import Guests

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["engine", "objects"]
MIB = 1 << 20
VMID = 301
pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-x86_64") is None, reason="there is no QEMU on this machine"
)


@pytest.fixture
def storage(objects: Objects) -> str:
    """The storage of this test's guest."""
    return next(iter(objects["storage"]))


@pytest.fixture
def guests(engine: Engine, objects: Objects, storage: str) -> Iterator[Guests]:
    """The guests as the token sees them, with one that has no network and no disk yet."""
    engine.run(objects)
    guests = Guests(engine.token(), "pve1")
    settings = {"name": "trial", "memory": 64, "machine": "q35", "pool": "services", "onboot": 0}
    guests.create(VMID, {**settings, "bios": "ovmf", "efidisk0": f"{storage}:1,efitype=4m"})
    yield guests
    guests.stop(VMID)
    guests.delete(VMID)


def test_a_guest_gets_its_volume_and_runs(guests: Guests, storage: str) -> None:
    volume = guests.allocate(storage, VMID, 8 * MIB)
    guests.attach(VMID, {"virtio0": volume})
    guests.start(VMID)

    assert volume.path.stat().st_size == 8 * MIB
    assert guests.state(VMID).detail == "running"
    assert guests.config(VMID)["virtio0"] == f"{volume.id},size=8M"
    nodes = Path(f"/proc/{guests.state(VMID).pid}/cmdline").read_text()
    assert '"node-name": "drive-virtio0"' in nodes


def test_a_removed_guest_leaves_no_volume_not_even_one_never_attached(
    guests: Guests, storage: str
) -> None:
    volume = guests.allocate(storage, VMID, 8 * MIB)
    settings = {"name": "trial", "memory": 64, "machine": "q35", "pool": "services", "onboot": 0}

    guests.delete(VMID)

    assert not volume.path.exists()
    guests.create(VMID, settings)


def test_a_running_guest_is_not_removed(guests: Guests) -> None:
    guests.start(VMID)

    with pytest.raises(PveError, match=f"500 VM {VMID} is running - destroy failed"):
        guests.delete(VMID)


def test_a_guest_that_ignores_the_button_is_named(guests: Guests) -> None:
    guests.start(VMID)

    with pytest.raises(TaskError, match=f"qmshutdown {VMID}: VM quit/powerdown failed"):
        guests.shutdown(VMID, 1)
    guests.shutdown(VMID, 1, force=True)
    assert guests.state(VMID).running is False


def test_a_second_start_fails_in_its_task(guests: Guests) -> None:
    guests.start(VMID)

    with pytest.raises(TaskError, match=f"VM {VMID} already running"):
        guests.start(VMID)


def test_volumes_go_with_their_guest(guests: Guests, storage: str) -> None:
    volume = guests.allocate(storage, VMID, MIB)
    guests.attach(VMID, {"scsi0": volume})

    guests.delete(VMID)

    assert not volume.path.exists()
    guests.create(VMID, {"name": "again", "pool": "services"})
