"""Every kind of image is read as its guest saw it, and a bad one is named by one sentence."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.unit.migrate.images import makers
from tests.unit.migrate.images.makers import MIB, SIZE, content, qemu_img

from releve.migrate.images.chain import inspect
from releve.migrate.images.graph import HereOpener, graph
from releve.migrate.images.model import ImageError, Place
from releve.migrate.images.readers import LocalReader
from releve.migrate.images.vhdx import crc32c

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")

CONVERTED = [
    ("qcow2", "qcow2", ""),
    ("qcow2", "qcow2", "compat=0.10"),
    ("vmdk", "vmdk", "subformat=monolithicSparse"),
    ("vmdk", "vmdk", "subformat=monolithicFlat"),
    ("vmdk", "vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vmdk", "vmdk", "subformat=streamOptimized"),
    ("vpc", "vhd", "subformat=fixed,force_size=on"),
    ("vpc", "vhd", "subformat=dynamic,force_size=on"),
    ("vhdx", "vhdx", "subformat=dynamic"),
    ("vhdx", "vhdx", "subformat=fixed"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return makers.raw(tmp_path / "disk.raw")


def refusal(file: Path, form: str) -> str:
    """Return what is said against an image, "" for nothing."""
    try:
        inspect(LocalReader(), str(file), form)
    except ImageError as error:
        return str(error)
    return ""


def converted(disk: Path, form: str, suffix: str, options: str) -> Path:
    file = disk.parent / f"guest.{suffix}"
    qemu_img("convert", "-O", form, *(["-o", options] if options else []), disk, file)
    return file


@pytest.mark.parametrize(("form", "suffix", "options"), CONVERTED)
def test_each_kind_is_read_byte_for_byte(disk: Path, form: str, suffix: str, options: str) -> None:
    file = converted(disk, form, suffix, options)

    layer = inspect(LocalReader(), str(file), form)

    assert layer.size == SIZE
    assert content(graph(layer, HereOpener()), disk.parent / "out") == disk.read_bytes()


@pytest.mark.parametrize(("form", "suffix", "options"), CONVERTED)
@pytest.mark.parametrize("part", [0.1, 1])
def test_a_cut_image_is_refused(
    disk: Path, form: str, suffix: str, options: str, part: float
) -> None:
    """QEMU would read zeros behind the end of a cut file; images may end within a cluster."""
    file = converted(disk, form, suffix, options)
    cut = max(disk.parent.glob(f"guest*.{suffix}"), key=lambda one: one.stat().st_size)
    with cut.open("r+b") as stream:
        size = cut.stat().st_size - 2 * 65_536
        stream.truncate(int(size * part) // 512 * 512)

    said = refusal(file, form)

    if said:
        assert str(disk.parent) in said
        assert "\n" not in said
    else:  # what headers do not show, QEMU's own check of the layer does
        words = ["qemu-img", "check", "-f", form, str(file)]
        assert form in {"qcow2", "vmdk"}
        assert subprocess.run(words, capture_output=True, check=False).returncode != 0


def test_a_chain_of_qcow2_on_raw_is_followed(disk: Path) -> None:
    base, top = disk.parent / "base.qcow2", disk.parent / "top.qcow2"
    qemu_img("create", "-f", "qcow2", "-b", disk.name, "-F", "raw", base)
    qemu_img("create", "-f", "qcow2", "-b", base.name, "-F", "qcow2", top)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", top], check=True,
                   capture_output=True)  # fmt: skip

    layer = inspect(LocalReader(), str(top), "qcow2")

    assert layer.files == (str(top), str(base), str(disk))
    expected = bytearray(disk.read_bytes())
    expected[MIB : MIB + 65_536] = b"\7" * 65_536
    assert content(graph(layer, HereOpener()), disk.parent / "out") == expected


def test_a_raw_disk_and_an_esxi_one_can_be_hashed_where_they_lie(disk: Path) -> None:
    file = makers.as_esxi(disk.parent, disk)

    flat = inspect(LocalReader(), str(file), "vmdk").flat

    assert flat == Place(str(disk.parent / "guest-flat.vmdk"), 0, SIZE)
    assert inspect(LocalReader(), str(disk), "raw").flat == Place(str(disk))


def test_snapshots_of_esxi_are_followed_to_the_flat_file(disk: Path) -> None:
    makers.as_esxi(disk.parent, disk)
    writes = {MIB: b"\1" * 512, SIZE - 512: b"\2" * 512}
    top = makers.esxi_delta(disk.parent, "guest-000001", "guest.vmdk", "fffffffe", writes)

    layer = inspect(LocalReader(), str(top), "vmdk")

    expected = bytearray(disk.read_bytes())
    for at, sector in writes.items():
        expected[at : at + 512] = sector
    assert content(graph(layer, HereOpener()), disk.parent / "out") == expected


def test_a_parent_named_by_a_path_of_its_old_host_is_found_beside_it(disk: Path) -> None:
    makers.as_esxi(disk.parent, disk)
    hint = "/vmfs/volumes/5f0c-12/guest/guest.vmdk"
    top = makers.esxi_delta(disk.parent, "guest-000001", hint, "fffffffe", {0: b"\1" * 512})

    layer = inspect(LocalReader(), str(top), "vmdk")

    assert layer.parent is not None
    assert layer.parent.place.file == str(disk.parent / "guest.vmdk")


def test_members_of_an_ova_are_read_where_they_lie(disk: Path) -> None:
    file = converted(disk, "vmdk", "vmdk", "subformat=streamOptimized")
    archive = disk.parent / "guest.ova"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(makers.raw(disk.parent / "guest.ovf", 3, 65_536 * 4), "guest.ovf")
        tar.add(file, "guest-disk1.vmdk")

    layer = inspect(LocalReader(), f"{archive}/guest-disk1.vmdk", "vmdk")

    assert content(graph(layer, HereOpener()), disk.parent / "out") == disk.read_bytes()
    with pytest.raises(ImageError, match=r"no nope\.vmdk in it; it has guest\.ovf, guest-disk1"):
        inspect(LocalReader(), f"{archive}/nope.vmdk", "vmdk")
    archive.write_bytes(archive.read_bytes()[: 200 * 1024])
    with pytest.raises(ImageError, match="cut off"):
        inspect(LocalReader(), f"{archive}/guest-disk1.vmdk", "vmdk")


def test_another_format_than_said_is_refused(disk: Path) -> None:
    file = converted(disk, "qcow2", "qcow2", "")

    with pytest.raises(ImageError, match="it is qcow2, not raw"):
        inspect(LocalReader(), str(file), "raw")
    with pytest.raises(ImageError, match="it is raw, not qcow2"):
        inspect(LocalReader(), str(disk), "qcow2")


def test_a_fixed_vhd_is_not_taken_for_raw(disk: Path) -> None:
    file = converted(disk, "vpc", "vhd", "subformat=fixed,force_size=on")

    with pytest.raises(ImageError, match="it is vpc, not raw"):
        inspect(LocalReader(), str(file), "raw")


def test_a_missing_backing_file_is_named_with_the_way_to_mend_it(disk: Path) -> None:
    top = disk.parent / "top.qcow2"
    qemu_img("create", "-f", "qcow2", "-u", "-b", "/old/host/base.raw", "-F", "raw", top, "8M")

    with pytest.raises(ImageError, match=r"/old/host/base\.raw: .*not there.*rebase -u"):
        inspect(LocalReader(), str(top), "qcow2")


def test_a_backing_file_that_is_no_file_is_refused(disk: Path) -> None:
    top = disk.parent / "top.qcow2"
    qemu_img(
        "create", "-f", "qcow2", "-u", "-b", "nbd://198.51.100.9/x", "-F", "raw", top, "8M"
    )  # fmt: skip

    with pytest.raises(ImageError, match="which is no file"):
        inspect(LocalReader(), str(top), "qcow2")


def test_an_image_on_itself_is_refused(disk: Path) -> None:
    top = disk.parent / "top.qcow2"
    qemu_img("create", "-f", "qcow2", top, "8M")
    qemu_img("rebase", "-u", "-b", top, "-F", "qcow2", top)

    with pytest.raises(ImageError, match="its own parent"):
        inspect(LocalReader(), str(top), "qcow2")


def test_a_qcow2_that_was_not_closed_is_refused(disk: Path) -> None:
    file = converted(disk, "qcow2", "qcow2", "lazy_refcounts=on")
    data = bytearray(file.read_bytes())
    data[79] |= 1
    file.write_bytes(data)

    with pytest.raises(ImageError, match="not closed cleanly"):
        inspect(LocalReader(), str(file), "qcow2")


def test_an_encrypted_qcow2_is_refused(disk: Path) -> None:
    file = converted(disk, "qcow2", "qcow2", "")
    data = bytearray(file.read_bytes())
    data[35] = 2
    file.write_bytes(data)

    with pytest.raises(ImageError, match="encrypted"):
        inspect(LocalReader(), str(file), "qcow2")


def test_a_vhdx_whose_log_was_not_written_back_is_refused(disk: Path) -> None:
    file = converted(disk, "vhdx", "vhdx", "")
    data = bytearray(file.read_bytes())
    for at in (65_536, 131_072):
        data[at + 48 : at + 64] = b"\5" * 16
        data[at + 4 : at + 8] = bytes(4)
        data[at + 4 : at + 8] = crc32c(bytes(data[at : at + 4096])).to_bytes(4, "little")
    file.write_bytes(data)

    with pytest.raises(ImageError, match="log was not written back"):
        inspect(LocalReader(), str(file), "vhdx")


def test_a_missing_extent_and_a_flat_file_alone_are_named(disk: Path) -> None:
    file = makers.as_esxi(disk.parent, disk)
    flat = disk.parent / "guest-flat.vmdk"

    with pytest.raises(ImageError, match=r"name its descriptor, guest\.vmdk"):
        inspect(LocalReader(), str(flat), "vmdk")
    flat.rename(flat.with_suffix(".gone"))
    with pytest.raises(ImageError, match=r"guest-flat\.vmdk: .*not there"):
        inspect(LocalReader(), str(file), "vmdk")


def test_a_parent_that_was_written_after_the_snapshot_is_refused(disk: Path) -> None:
    makers.as_esxi(disk.parent, disk)
    top = makers.esxi_delta(disk.parent, "guest-000001", "guest.vmdk", "aaaa1111", {})

    with pytest.raises(ImageError, match="wrong parent"):
        inspect(LocalReader(), str(top), "vmdk")


@pytest.mark.parametrize("kind", ["vmfsRawDeviceMap", "vmfsPassthroughRawDeviceMap", "fullDevice"])
def test_a_raw_device_mapping_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "rdm.vmdk"
    file.write_text(makers.descriptor(kind, "1", "VMFSRDM", "rdm-rdmp.vmdk"))

    with pytest.raises(ImageError, match="vmkfstools"):
        inspect(LocalReader(), str(file), "vmdk")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.raw"):
        inspect(LocalReader(), str(tmp_path / "nothing.raw"), "raw")
