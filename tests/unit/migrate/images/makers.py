"""Images of each kind, made by qemu-img or by hand in the layouts of other hypervisors."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
SIZE = 8 * MIB


def qemu_img(*words: str | Path) -> str:
    done = subprocess.run(
        ["qemu-img", *map(str, words)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def raw(file: Path, seed: int = 1, size: int = SIZE) -> Path:
    """Write a disk with data at its begin, middle and end, and holes between."""
    with file.open("wb") as stream:
        stream.truncate(size)
        for at in (0, size // 2 + 12_288, size - 65_536):
            stream.seek(at)
            stream.write(random.Random(seed + at).randbytes(65_536))  # noqa: S311  # not a secret
    return file


def content(node: dict[str, Any], file: Path) -> bytes:
    """Return what QEMU reads through a node."""
    qemu_img("convert", "-O", "raw", f"json:{json.dumps(node)}", file)
    return file.read_bytes()


def as_esxi(folder: Path, disk: Path) -> Path:
    """Write a disk as ESXi keeps it: a descriptor of type vmfs beside its flat file."""
    flat = folder / "guest-flat.vmdk"
    flat.write_bytes(disk.read_bytes())
    file = folder / "guest.vmdk"
    file.write_text(descriptor("vmfs", "fffffffe", "VMFS", flat.name))
    return file


def descriptor(
    kind: str, cid: str, extent: str, name: str, *, parent: str = "ffffffff", hint: str = ""
) -> str:
    lines = ["# Disk DescriptorFile", "version=1", 'encoding="UTF-8"', f"CID={cid}"]
    lines += [f"parentCID={parent}", f'createType="{kind}"']
    lines += [f'parentFileNameHint="{hint}"'] if hint else []
    lines += ["# Extent description", f'RW {SIZE // 512} {extent} "{name}"', ""]
    return "\n".join([*lines, "# The Disk Data Base", "#DDB", 'ddb.adapterType = "lsilogic"', ""])


def esxi_delta(folder: Path, name: str, parent: str, cid: str, writes: dict[int, bytes]) -> Path:
    """Write an ESXi snapshot: a COWD extent (vmfsSparse) with grains of one sector."""
    grains_of_table, sectors = 4096, SIZE // 512
    tables = -(-sectors // grains_of_table)
    directory_at, data_at = 4, 4 + -(-tables * 4 // 512)
    tables_at = data_at
    data_at += tables * grains_of_table * 4 // 512
    directory = [tables_at + number * 32 for number in range(tables)]
    table, data = [0] * (tables * grains_of_table), b""
    for at, sector in sorted(writes.items()):
        table[at // 512] = data_at + len(data) // 512
        data += sector
    header = struct.pack("<4sIIIIIIII", b"COWD", 1, 3, sectors, 1, directory_at, tables, 0, 0)
    image = header.ljust(2048, b"\0") + struct.pack(f"<{tables}I", *directory)
    image = image.ljust(tables_at * 512, b"\0") + struct.pack(f"<{len(table)}I", *table) + data
    (folder / f"{name}-delta.vmdk").write_bytes(image)
    file = folder / f"{name}.vmdk"
    text = descriptor(
        "vmfsSparse", "12345678", "VMFSSPARSE", f"{name}-delta.vmdk", parent=cid, hint=parent
    )
    file.write_text(text)
    return file


def vhd_child(file: Path, parent: Path, writes: dict[int, bytes]) -> Path:
    """Write a differencing VHD on `parent` (itself a VHD), with blocks of 2 MiB."""
    block, size = 2 * MIB, SIZE
    count = size // block
    footer = bytearray(parent.read_bytes()[-512:])
    below = footer[68:84]
    struct.pack_into(">Q", footer, 16, 512)
    struct.pack_into(">QQ", footer, 40, size, size)
    struct.pack_into(">I", footer, 60, 4)
    footer[68:84] = uuid.UUID(int=0xABCDEF).bytes
    _sum(footer, 64)
    header = bytearray(1024)
    locator_at, table_at = 2048, 1536
    name = parent.name.encode("utf-16-le")
    struct.pack_into(">8sQQIII", header, 0, b"cxsparse", 2**64 - 1, table_at, 0x10000, count, block)
    header[40:56] = below
    encoded = parent.name.encode("utf-16-be")
    header[64 : 64 + len(encoded)] = encoded
    struct.pack_into(">4sIIIQ", header, 576, b"W2ru", 512, len(name), 0, locator_at)
    _sum(header, 36)
    data_at, table, data = 2560, [0xFFFFFFFF] * count, b""
    for number in sorted({at // block for at in writes}):
        bitmap, content_ = bytearray(512), bytearray(block)
        for at, sector in writes.items():
            if at // block == number:
                sectors = at % block // 512
                bitmap[sectors // 8] |= 0x80 >> sectors % 8
                content_[at % block : at % block + 512] = sector
        table[number] = (data_at + len(data)) // 512
        data += bytes(bitmap) + bytes(content_)
    image = bytes(footer) + bytes(header) + struct.pack(f">{count}I", *table).ljust(512, b"\xff")
    image = image.ljust(locator_at, b"\0") + name
    file.write_bytes(image.ljust(data_at, b"\0") + data + bytes(footer))
    return file


def _sum(raw_bytes: bytearray, at: int) -> None:
    struct.pack_into(">I", raw_bytes, at, 0)
    struct.pack_into(">I", raw_bytes, at, ~sum(raw_bytes) & 0xFFFFFFFF)
