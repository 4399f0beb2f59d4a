"""OVA: a tar archive whose members are opened where they lie, without unpacking.

A member is named as a path that goes through the archive: /exports/guest.ova/guest-disk1.vmdk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.images.model import SECTOR, ImageError, Place

if TYPE_CHECKING:
    from releve.migrate.images.model import Reader

GZIP = b"\x1f\x8b"
MOST_MEMBERS = 10_000
_PAX, _PAX_GLOBAL, _LONG_NAME, _FILES = b"x", b"g", b"L", {b"0", b"\0", b"7"}


def split(path: str) -> tuple[str, str] | None:
    """Return archive and member of a path that goes through an OVA, or None."""
    at = path.lower().find(".ova/")
    return None if at < 0 else (path[: at + 4], path[at + 5 :])


def members(reader: Reader, file: str) -> dict[str, Place]:
    """Return where each member lies; raises ImageError for an archive that is cut or none."""
    found: dict[str, Place] = {}
    longer: dict[str, str] = {}
    size, at = reader.size(file), 0
    for _ in range(MOST_MEMBERS):
        block = reader.read(file, at, SECTOR)
        if len(block) < SECTOR:
            message = f"{file}: it is cut off: it has no end mark; copy or export it anew"
            raise ImageError(message)
        if not block.strip(b"\0"):
            return found
        name, length, kind = _header(file, block)
        data = at + SECTOR
        at = data + -(-int(longer.get("size", length)) // SECTOR) * SECTOR
        if kind in {_PAX, _LONG_NAME}:
            longer |= _longer(reader.read(file, data, length), kind)
        elif kind != _PAX_GLOBAL:
            length, name = int(longer.get("size", length)), longer.get("path", name)
            if data + length > size:
                message = f"{file}: it is cut off within {name}; copy or export it anew"
                raise ImageError(message)
            if kind in _FILES:
                found[name.removeprefix("./")] = Place(file, data, length)
            longer = {}
    message = f"{file}: more than {MOST_MEMBERS} members; this is no OVA"
    raise ImageError(message)


def member(reader: Reader, file: str, name: str) -> Place:
    """Return where one member lies; raises ImageError when it is not there or is packed."""
    listed = members(reader, file)
    if name not in listed:
        message = f"{file}: no {name} in it; it has {', '.join(listed) or 'nothing'}"
        raise ImageError(message)
    place = listed[name]
    if reader.read(file, place.offset, 2) == GZIP:
        message = f"{file}: {name} is packed by gzip; unpack the OVA, gunzip it, name the file"
        raise ImageError(message)
    return place


def _header(file: str, block: bytes) -> tuple[str, int, bytes]:
    told = int(block[148:156].strip(b" \0") or b"0", 8) if _octal(block[148:156]) else -1
    if sum(block[:148]) + 8 * 0x20 + sum(block[156:]) != told:
        message = f"{file}: it is no tar archive, or damaged; an OVA is one"
        raise ImageError(message)
    field = block[124:136]
    length = (
        int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.strip(b" \0") or b"0", 8)
    )
    name = block[:100].rstrip(b"\0").decode(errors="replace")
    prefix = block[345:500].rstrip(b"\0").decode(errors="replace")
    if block[257:262] == b"ustar" and block[257:265] != b"ustar  \0" and prefix:
        name = f"{prefix}/{name}"
    return name, length, block[156:157]


def _octal(field: bytes) -> bool:
    return all(byte in b"01234567 \0" for byte in field)


def _longer(data: bytes, kind: bytes) -> dict[str, str]:
    """Return the fields that a long-name or pax header gives to the next member."""
    if kind == _LONG_NAME:
        return {"path": data.rstrip(b"\0").decode(errors="replace")}
    fields = {}
    while data:
        length, _, rest = data.partition(b" ")
        if not length.isdigit() or not int(length):
            break
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        fields[key.decode()] = value.decode(errors="replace")
        data = data[int(length) :]
    return fields
