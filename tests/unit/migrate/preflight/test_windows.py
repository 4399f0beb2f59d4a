"""What binds a Windows to its machine is read from its disk.

`data/windows.img.xz` is a volume that mkntfs and ntfs-3g made, in an MBR, with a hive of hives.py
as its registry, 120 files beside pending.xml (so that the folder is a tree), and a hiberfil.sys.
"""

from __future__ import annotations

import lzma
import struct
import uuid
from pathlib import Path

import pytest
from tests.unit.migrate.preflight import hives

from releve.migrate.preflight.hive import Hive
from releve.migrate.preflight.partitions import table_of
from releve.migrate.preflight.reader import PIECE, PieceReader, ReadError, dumped
from releve.migrate.preflight.windows import Windows, look_at

IMAGE = lzma.decompress((Path(__file__).parent / "data" / "windows.img.xz").read_bytes())
START = 1 << 20
LDM = "af9b60a0-1431-4f62-bc68-3311714a69ad"
BASIC = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"


class Bytes(PieceReader):
    """A disk kept in memory."""

    data: bytes = b""

    def piece(self, number: int) -> bytes:
        return self.data[number * PIECE : (number + 1) * PIECE]


def disk(data: bytes) -> Bytes:
    reader = Bytes()
    reader.data = data
    return reader


def windows(data: bytes) -> Windows | None:
    found = look_at("sda", disk(data))
    assert found.error == ""
    return found.windows


def registry(**keys: int | str) -> bytes:
    """Return the image with another registry of the same size."""
    assert IMAGE.count(hives.system()) == 1
    return IMAGE.replace(hives.system(), hives.system(**keys))  # type: ignore[arg-type]


def gpt(kind: str, volume: bytes) -> bytes:
    head = struct.pack("<8s64xQII", b"EFI PART", 2, 128, 128)
    row = uuid.UUID(kind).bytes_le + bytes(16) + struct.pack("<QQ", 64, 64 + len(volume) // 512)
    mbr = bytearray(512)
    mbr[450], mbr[510:512] = 0xEE, b"\x55\xaa"
    whole = bytes(mbr) + head.ljust(512, b"\0") + row.ljust(128 * 128, b"\0")
    return whole.ljust(64 * 512, b"\0") + volume


def test_a_windows_that_sleeps_is_found_with_its_update_and_its_fast_startup() -> None:
    found = windows(IMAGE)

    assert found is not None
    assert found.hibernated
    assert found.pending_updates
    assert found.fast_startup
    assert found.dirty is False
    assert found.domain_controller is False
    assert found.boot_drivers == frozenset()


def test_after_the_remedy_the_same_disk_passes() -> None:
    woken = registry(fast=0, driver=0).replace(b"hibr", b"\0\0\0\0")
    found = windows(woken)

    assert found is not None
    assert (found.hibernated, found.fast_startup) == (False, False)
    assert found.boot_drivers == {"viostor"}


def test_a_domain_controller_is_known_by_its_product_type() -> None:
    found = windows(registry(product="LanmanNT"))

    assert found is not None
    assert found.domain_controller


def test_the_dirty_flag_is_the_volumes_own() -> None:
    # the resident $VOLUME_INFORMATION: version 3.1, then the flags
    at = IMAGE.index(struct.pack("<QBBH", 0, 3, 1, 0), START)
    found = windows(IMAGE[: at + 10] + b"\x01\x00" + IMAGE[at + 12 :])

    assert found is not None
    assert found.dirty


def test_the_same_volume_is_found_in_a_gpt_and_without_a_table() -> None:
    assert windows(gpt(BASIC, IMAGE[START:])) == windows(IMAGE)
    assert windows(IMAGE[START:]) == windows(IMAGE)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\xeb\x58\x90-FVE-FS-", "BitLocker"),
        (b"LUKS\xba\xbe\x00\x02", "LUKS"),
        (b"LUKS\xba\xbe\x00\x02" + b'{"type":"systemd-tpm2"}', "LUKS bound to a TPM"),
    ],
)
def test_an_encrypted_partition_is_named(head: bytes, said: str) -> None:
    assert look_at("sda", disk(gpt(BASIC, head.ljust(20_480, b"\0")))).encrypted == said


def test_a_dynamic_disk_is_named_by_either_table() -> None:
    assert look_at("sda", disk(gpt(LDM, bytes(1024)))).dynamic == "dynamic disk"
    old = bytearray(IMAGE)
    old[450] = 0x42
    assert look_at("sda", disk(bytes(old))).dynamic == "dynamic disk"


@pytest.mark.parametrize("at", [START + 11, START + 48, START + 64])
def test_a_broken_volume_is_said_to_be_unreadable_and_nothing_else(at: int) -> None:
    broken = IMAGE[:at] + b"\xff" * 16 + IMAGE[at + 16 :]

    found = look_at("sda", disk(broken))

    assert found.windows is None
    assert found.error


def test_every_cut_of_the_image_ends_in_an_answer() -> None:
    for length in range(0, len(IMAGE), 150_001):
        found = look_at("sda", disk(IMAGE[:length]))
        assert found.error or found.windows is None or length > START


def test_a_table_that_leads_in_a_circle_ends() -> None:
    sector = bytearray(512)
    sector[446:462] = struct.pack("<B3sB3sII", 0, b"", 5, b"", 1, 100)
    sector[510:] = b"\x55\xaa"
    again = bytearray(sector)
    again[446:462] = struct.pack("<B3sB3sII", 0, b"", 5, b"", 0, 100)

    assert table_of(disk(bytes(sector) + bytes(again)))[1] == []


def test_a_registry_with_a_torn_list_is_an_error_of_ours() -> None:
    data = bytearray(hives.system())
    data = data.replace(b"lf\x02\x00", b"lf\xff\xff")

    def read(offset: int, length: int) -> bytes:
        return bytes(data[offset : offset + length])

    with pytest.raises(ReadError):
        Hive(read).find("ControlSet001\\Services\\viostor")


def test_what_qemu_io_shows_becomes_bytes() -> None:
    said = (
        "00000200:  45 46 49 20 50 41 52 54 00 00 01 00 5c 00 00 00  EFI PART........\n"
        "00000210:  01 02 03  ...\n"
        "read 19/19 bytes at offset 512\n"
    )
    assert dumped(said) == b"EFI PART\0\0\1\0\x5c\0\0\0\1\2\3"
    with pytest.raises(ValueError, match="Permission denied"):
        dumped("qemu-io: can't open: Permission denied")
