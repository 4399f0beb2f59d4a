"""A stopped guest's files are read over ssh as its guest saw them, and nothing else is touched."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.migrate.images import makers
from tests.unit.migrate.images.makers import MIB, SIZE, qemu_img
from tests.unit.migrate.sources import loopback

from releve.blocks.hashes import Hashed, HashList
from releve.migrate import worker
from releve.migrate.errors import MigrateError, PowerButtonError
from releve.migrate.images.model import ImageError
from releve.migrate.sources.base import SourceDisk
from releve.migrate.sources.files_source import FilesSource
from releve.migrate.sources.mount import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator

LACKS = loopback.missing("sshfs", "qemu-img", "qemu-nbd")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKS), reason=f"no {LACKS} here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts: root only"),
]


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    with loopback.hosts(tmp_path_factory.mktemp("ssh")) as (old, node, known):
        yield Mount(node, old, f"test-{uuid.uuid4().hex[:8]}", known)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return makers.raw(tmp_path / "disk.raw")


@pytest.fixture
def files(mount: Mount, disk: Path) -> Iterator[dict[str, tuple[str, Path]]]:
    """Images of many kinds, all of the same disk: name of a disk -> format and file."""
    folder = disk.parent
    kinds = {
        "sdb": ("vmdk", "split.vmdk", "subformat=twoGbMaxExtentFlat"),
        "sdd": ("vhdx", "guest.vhdx", "subformat=dynamic"),
    }
    found = {"sda": ("raw", disk), "sdf": ("vmdk", makers.as_esxi(folder, disk))}
    for name, (form, file, options) in kinds.items():
        qemu_img("convert", "-O", form, "-o", options, disk, folder / file)
        found[name] = (form, folder / file)
    shutil.copy(disk, folder / "base.raw")
    qemu_img("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", folder / "top.qcow2")
    found["sdg"] = ("qcow2", folder / "top.qcow2")
    stream = folder / "stream.vmdk"
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, stream)
    with tarfile.open(folder / "guest.ova", "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(stream, "guest-disk1.vmdk")
    found["sdh"] = ("vmdk", folder / "guest.ova" / "guest-disk1.vmdk")
    yield found
    FilesSource("bureau", mount, ()).close()


def source_of(
    mount: Mount,
    files: dict[str, tuple[str, Path]],
    frozen: dict[str, tuple[str, Path]] | None = None,
) -> FilesSource:
    return FilesSource("bureau", mount, disks_of(files), disks_of(frozen or {}))


def disks_of(files: dict[str, tuple[str, Path]]) -> tuple[SourceDisk, ...]:
    return tuple(SourceDisk(name, "", form, str(file)) for name, (form, file) in files.items())


def read(uri: str, out: Path) -> bytes:
    qemu_img("convert", "-f", "raw", "-O", "raw", uri, out)
    return out.read_bytes()


def test_every_kind_is_served_byte_for_byte_and_fenced_and_given_back(
    mount: Mount, files: dict[str, tuple[str, Path]], disk: Path
) -> None:
    source, expected, out = source_of(mount, files), disk.read_bytes(), disk.parent / "out"
    names = sorted(file.name for file in disk.parent.iterdir())
    guest = source.look()
    assert guest is not None
    assert guest.state == "shut off"

    assert source.ready("run-1", 1) is False

    assert source.sizes() == dict.fromkeys(files, SIZE)
    for name in files:
        assert read(source.uri(name), out) == expected, name
    mark = source.mark()
    source.power_off(1)
    source.release()
    source.fence(mark)
    source.fence(mark)
    assert source.fenced(mark)
    assert source.look() is None
    source.at_rest(mark)
    assert read(source.uri("sdh"), out) == expected
    out.unlink()
    source.unfence(mark)
    source.unfence(mark)
    assert not source.fenced(mark)
    source.close()
    source.close()
    assert sorted(file.name for file in disk.parent.iterdir()) == names
    mounts = subprocess.run(["cat", "/proc/mounts"], capture_output=True, text=True, check=True)
    assert mount.run not in mounts.stdout
    assert mount.run not in mount.old.run("cat ~/.ssh/authorized_keys").stdout


def test_the_key_of_the_node_reads_and_nothing_else(
    mount: Mount, files: dict[str, tuple[str, Path]], disk: Path
) -> None:
    source = source_of(mount, {"sda": files["sda"]})
    source.ready("run-1", 1)

    folder = f"/run/releve/{mount.run}"
    words = ["-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "IdentitiesOnly=yes",
             "-i", f"{folder}/key", "-o", "BatchMode=yes", "-F", "none"]  # fmt: skip
    place = f"root@{loopback.ADDRESS}"
    shell = subprocess.run(["ssh", *words, place, "touch", f"{disk}.new"], timeout=20, check=False,
                           capture_output=True)  # fmt: skip
    write = subprocess.run(["sftp", "-q", "-b", "-", *words, place], timeout=20, check=False,
                           input=f"rm {disk}\n".encode(), capture_output=True)  # fmt: skip

    assert shell.returncode != 0
    assert write.returncode != 0
    assert disk.exists()
    assert not disk.with_name("disk.raw.new").exists()


def test_raw_and_flat_images_are_hashed_where_they_lie(
    mount: Mount, files: dict[str, tuple[str, Path]], disk: Path
) -> None:
    source = source_of(mount, files)
    source.look()
    data = disk.read_bytes()

    for name in ("sda", "sdf"):
        lines = source.hashes(name)
        assert lines is not None
        for one in HashList((line.decode() for line in lines), SIZE, 65_536):
            block = data[one.offset : one.offset + one.length]
            assert one.digest in {hashlib.sha256(block).digest(), None if not any(block) else b""}
    assert [name for name in files if source.hashes(name) is None] == ["sdd", "sdg", "sdh"]


def test_a_guest_that_works_is_not_read(mount: Mount, disk: Path) -> None:
    source = source_of(mount, {"sda": ("raw", disk)})
    with disk.open("r+b"):
        guest = source.look()
        assert guest is not None
        assert guest.running
        with pytest.raises(MigrateError, match=r"bureau works \(process \d+ writes to .*frozen"):
            source.ready("run-1", 1)
        with pytest.raises(PowerButtonError, match="stop it there"):
            source.power_off(1)


def test_what_is_frozen_is_read_while_the_guest_works(mount: Mount, disk: Path) -> None:
    old, out = disk.with_name("old.qcow2"), disk.with_name("out")
    qemu_img("convert", "-O", "qcow2", disk, old)
    before = disk.read_bytes()
    source = source_of(mount, {"sda": ("raw", disk)}, {"sda": ("qcow2", old)})
    with disk.open("r+b") as stream:
        stream.seek(3 * MIB)
        stream.write(b"written since")
        stream.flush()
        guest = source.look()
        assert guest is not None
        assert guest.running

        source.ready("run-1", 1)

        assert read(source.uri("sda"), out) == before
        with pytest.raises(PowerButtonError, match="stop it there"):
            source.power_off(1)
    source.power_off(1)
    assert read(source.uri("sda"), out) == disk.read_bytes() != before
    source.release()
    source.close()


def test_an_image_that_cannot_be_read_while_its_guest_works_is_not_needed(
    mount: Mount, disk: Path
) -> None:
    """As a qcow2 of a running QEMU with lazy refcounts, or a flat VMDK that ESXi has locked."""
    locked = disk.with_name("locked.qcow2")
    locked.write_bytes(b"QFI\xfb" + b"\xff" * 200)
    source = source_of(mount, {"sda": ("qcow2", locked)}, {"sda": ("raw", disk)})

    guest = source.look()
    source.ready("run-1", 1)

    assert guest is not None
    assert guest.running
    assert source.sizes() == {"sda": SIZE}
    with pytest.raises(PowerButtonError, match=r"locked\.qcow2"):
        source.power_off(1)
    source.close()


def test_what_is_frozen_of_another_disk_is_refused(mount: Mount, disk: Path) -> None:
    other = disk.with_name("other.raw")
    other.write_bytes(bytes(SIZE + MIB))
    source = source_of(mount, {"sda": ("raw", disk)}, {"sda": ("raw", other)})

    with disk.open("r+b"), pytest.raises(ImageError, match=r"frozen of disk sda.*take it anew"):
        source.ready("run-1", 1)


def test_a_disk_that_grew_since_it_was_frozen_begins_anew(mount: Mount, disk: Path) -> None:
    old = disk.with_name("old.raw")
    shutil.copy(disk, old)
    source = source_of(mount, {"sda": ("raw", disk)}, {"sda": ("raw", old)})
    with disk.open("r+b") as stream:
        source.ready("run-1", 1)
        stream.truncate(SIZE + MIB)

    with pytest.raises(MigrateError, match=r"disk sda of bureau has .* run again"):
        source.power_off(1)
    source.close()


def test_a_file_that_is_not_there_is_named_with_its_host(mount: Mount, tmp_path: Path) -> None:
    gone = tmp_path / "gone.vmdk"

    with pytest.raises(ImageError, match=rf"^old: {gone}: there is no such file; correct its name"):
        source_of(mount, {"sda": ("vmdk", gone)}).look()


def test_a_checkpoint_is_refused_with_its_remedy(mount: Mount, tmp_path: Path) -> None:
    parent = tmp_path / "parent.vhd"
    qemu_img("convert", "-O", "vpc", makers.raw(tmp_path / "disk.raw"), parent)
    child = makers.vhd_child(tmp_path / "child.vhd", parent, {})

    with pytest.raises(ImageError, match=r"^old: .*differencing VHD, based on .*Merge-VHD"):
        source_of(mount, {"sda": ("vpc", child)}).look()


def test_what_may_be_wiped_once_is_named_as_it_lies_behind_the_fence(
    mount: Mount, files: dict[str, tuple[str, Path]], disk: Path
) -> None:
    """All of a disk, and nothing that another guest may be based on."""
    chosen = {name: files[name] for name in ("sdb", "sdg", "sdh")}
    source = source_of(mount, chosen)

    mark = source.mark()
    source.fence(mark)

    left = [(one["name"], one["file"].removeprefix(f"{disk.parent}/")) for one in mark["left"]]
    assert left == [
        ("sdb", "moved-by-releve.split.vmdk"), ("sdb", "split-f001.vmdk"),
        ("sdg", "moved-by-releve.top.qcow2"), ("sdh", "moved-by-releve.guest.ova"),
    ]  # fmt: skip
    assert all((disk.parent / file).exists() for _name, file in left)


def test_who_gets_a_guest_back_is_told_to_start_it(mount: Mount, disk: Path) -> None:
    said = source_of(mount, {"sda": ("raw", disk)}).start()

    assert said == f"start it yourself, where it ran: its files are at old as they were: {disk}"


def test_files_that_change_while_they_are_read_are_not_believed(mount: Mount, disk: Path) -> None:
    source = source_of(mount, {"sda": ("raw", disk)})
    source.ready("run-1", 1)
    source.power_off(1)
    with disk.open("r+b") as stream:
        stream.seek(MIB)
        stream.write(b"late")

    with pytest.raises(MigrateError, match=r"disk\.raw has changed since"):
        source.release()
    source.close()


def test_a_bad_image_is_named_before_anything_is_mounted(mount: Mount, tmp_path: Path) -> None:
    bad = tmp_path / "guest.qcow2"
    qemu_img("create", "-f", "qcow2", "-u", "-b", "/gone/base.raw", "-F", "raw", bad, "8M")

    with pytest.raises(ImageError, match=r"/gone/base\.raw"):
        source_of(mount, {"sda": ("qcow2", bad)}).look()
    assert shutil.which("sshfs")


FAKE_LVM = {
    # one volume, vg0/bureau; the real ones need a device mapper
    "lvs": 'for last; do :; done; case $last in */vg0/*bureau) echo "  vg0/${last##*/}" ;;'
    " *) exit 5 ;; esac",
    "lvrename": 'mv "@DEV/$2/$3" "@DEV/$2/$4"',
}


@pytest.fixture
def volume(mount: Mount, disk: Path) -> Iterator[Path]:
    """Give a block device that a volume manager named."""
    losetup = ["losetup", "--show", "-f", str(disk)]
    made = subprocess.run(losetup, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device here: {made.stderr.strip()}")
    device = made.stdout.strip()
    home = mount.old.run("echo $HOME").stdout.strip()
    folder = disk.parent / "dev" / "vg0"
    folder.mkdir(parents=True)
    (folder / "bureau").symlink_to(device)
    for name, text in FAKE_LVM.items():
        file = Path(home) / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text.replace('@DEV', str(folder.parent))}\n")
        file.chmod(0o755)
    worker.install(mount.node)
    try:
        yield folder / "bureau"
    finally:
        FilesSource("bureau", mount, ()).close()
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_volume_of_the_old_host_is_read_hashed_watched_and_fenced(
    mount: Mount, volume: Path, disk: Path
) -> None:
    source, out = source_of(mount, {"sda": ("raw", volume)}), disk.with_name("out")

    source.ready("run-1", 1)

    assert source.sizes() == {"sda": SIZE}
    assert read(source.uri("sda"), out) == disk.read_bytes()
    assert sum(one.length for one in listed(source, "sda")) == SIZE
    with volume.open("r+b") as stream:
        with pytest.raises(PowerButtonError, match=r"process \d+ writes to /dev/loop"):
            source.power_off(1)
        stream.write(b"late")
    source.power_off(1)
    mark = source.mark()
    source.release()
    source.fence(mark)
    assert source.fenced(mark)
    assert [file.name for file in volume.parent.iterdir()] == ["moved-by-releve.bureau"]
    source.at_rest(mark)
    assert read(source.uri("sda"), out)[:4] == b"late"
    source.unfence(mark)
    assert volume.exists()


def test_a_volume_that_is_written_while_it_is_read_is_not_believed(
    mount: Mount, volume: Path
) -> None:
    source = source_of(mount, {"sda": ("raw", volume)})
    source.ready("run-1", 1)
    source.power_off(1)
    with volume.open("r+b") as stream:
        stream.write(b"late")
        os.fsync(stream.fileno())

    with pytest.raises(MigrateError, match="bureau has changed since"):
        source.release()


def test_a_device_that_nobody_can_rename_is_refused(mount: Mount, volume: Path) -> None:
    with pytest.raises(ImageError, match=r"/dev/GROUP/VOLUME.*copy it into a file"):
        source_of(mount, {"sda": ("raw", volume.resolve())}).look()


def listed(source: FilesSource, disk: str) -> list[Hashed]:
    """Return what the host's own list says of a disk."""
    lines = source.hashes(disk)
    assert lines is not None
    return list(HashList((line.decode() for line in lines), SIZE, 65_536))
