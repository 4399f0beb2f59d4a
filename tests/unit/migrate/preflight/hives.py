"""Registry hives made for tests: keys as nested dicts, values as {"@name": number or text}."""

from __future__ import annotations

import struct
from typing import Any

BASE = 4096
PAGE = 4096


class _Cells:
    """Cells one after the other; `add` returns where one lies."""

    def __init__(self) -> None:
        self.data = bytearray(32)  # the header of the only bin

    def add(self, content: bytes) -> int:
        at = len(self.data)
        size = -(-(len(content) + 4) // 8) * 8
        self.data += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        return at


def _value(cells: _Cells, name: str, value: int | str) -> int:
    if isinstance(value, int):
        size, at, kind = 4 | 0x80000000, value, 4
    else:
        data = f"{value}\0".encode("utf-16-le")
        size, at, kind = len(data), cells.add(data), 1
    head = struct.pack("<2sHIIIHH", b"vk", len(name), size, at, kind, 1, 0)
    return cells.add(head + name.encode())


def _key(cells: _Cells, name: str, content: dict[str, Any], root: bool = False) -> int:
    values = [_value(cells, key[1:], val) for key, val in content.items() if key.startswith("@")]
    keys = sorted((key for key in content if not key.startswith("@")), key=str.upper)
    below = [_key(cells, key, content[key]) for key in keys]
    listed = cells.add(struct.pack(f"<{len(values)}I", *values)) if values else 0xFFFFFFFF
    children = 0xFFFFFFFF
    if below:
        rows = b"".join(
            struct.pack("<I4s", at, key[:4].encode().ljust(4, b"\0"))
            for at, key in zip(below, keys, strict=True)
        )
        children = cells.add(struct.pack("<2sH", b"lf", len(below)) + rows)
    head = struct.pack(
        "<2sHQIIIIIIIIII", b"nk", 0x2C if root else 0x20, 0, 0, 0, len(below), 0, children,
        0xFFFFFFFF, len(values), listed, 0xFFFFFFFF, 0xFFFFFFFF,
    )  # fmt: skip
    return cells.add(head + bytes(20) + struct.pack("<HH", len(name), 0) + name.encode())


def hive_of(content: dict[str, Any]) -> bytes:
    """Return the bytes of a hive with these keys below its root."""
    cells = _Cells()
    root = _key(cells, "ROOT", content, root=True)
    size = -(-(len(cells.data) + 8) // PAGE) * PAGE
    rest = size - len(cells.data)
    cells.data += struct.pack("<i", rest).ljust(rest, b"\0")
    cells.data[:32] = struct.pack("<4sII", b"hbin", 0, size).ljust(32, b"\0")
    head = struct.pack("<4sIIQIIIII", b"regf", 1, 1, 0, 1, 3, 0, 1, root)
    head += struct.pack("<II", size, 1)
    head = head.ljust(508, b"\0")
    checksum = 0
    for (word,) in struct.iter_unpack("<I", head):
        checksum ^= word
    return (head + struct.pack("<I", checksum)).ljust(BASE, b"\0") + bytes(cells.data)


def system(fast: int = 1, driver: int = 3, product: str = "ServerNT") -> bytes:
    """Return a SYSTEM hive as a Windows has it, as far as preflight reads it."""
    return hive_of(
        {
            "Select": {"@Current": 1, "@Default": 1},
            "ControlSet001": {
                "Control": {
                    "ProductOptions": {"@ProductType": product},
                    "Session Manager": {"Power": {"@HiberbootEnabled": fast}},
                },
                "Services": {
                    "netkvm": {"@Start": 3},
                    "viostor": {"@Start": driver, "@Type": 1},
                },
            },
        }
    )
