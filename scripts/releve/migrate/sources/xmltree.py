"""Read XML from another machine: no document type, hence no entities, and a bounded size."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_MAX = 4 * 2**20  # characters; a libvirt definition has some thousands
UNITS: dict[str, int] = {
    "b": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
} | {
    name: 2 ** (10 * power)
    for power, names in enumerate((("k", "kib"), ("m", "mib"), ("g", "gib"), ("t", "tib")), start=1)
    for name in names
}


def read_xml(text: str, where: str) -> ET.Element:
    """Return the root of a document; raises InputError, naming `where`, for what is not plain."""
    if len(text) > SIZE_MAX:
        message = f"{where}: {len(text)} characters of XML are too many to be a guest's definition"
        raise InputError(message)

    def refuse(*_parts: object) -> NoReturn:
        message = f"{where}: its XML declares a document type, which no guest's definition does"
        raise InputError(message)

    first_pass = expat.ParserCreate("utf-8")
    first_pass.StartDoctypeDeclHandler = refuse
    try:
        first_pass.Parse(text.encode("utf-8", "surrogateescape"), True)
        return ET.fromstring(text)  # noqa: S314  # the first pass refused every declaration
    except (expat.ExpatError, ET.ParseError, ValueError) as error:
        message = f"{where}: this is not XML: {error}"
        raise InputError(message) from None


def text_at(element: ET.Element, path: str) -> str | None:
    """Return the stripped text of a descendant, None when it is missing or empty."""
    found = element.findtext(path)
    return found.strip() or None if found else None


def attribute_at(element: ET.Element, path: str, name: str) -> str | None:
    """Return an attribute of a descendant, None when either is missing."""
    found = element.find(path)
    return None if found is None else found.get(name)


def number(text: str | None, fallback: int) -> int:
    """Return a whole number, or `fallback` when there is none; raises InputError on nonsense."""
    if not text:
        return fallback
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        message = f"{' '.join(text.split())[:40]!r} stands where a definition has a number"
        raise InputError(message)
    return int(text)


def size_at(element: ET.Element, path: str) -> int | None:
    """Return a size in bytes (its unit is KiB when none is said), None when missing."""
    found = element.find(path)
    if found is None or not (found.text or "").strip():
        return None
    unit = (found.get("unit") or "KiB").lower()
    if unit not in UNITS:
        message = f"<{path} unit={unit!r}>: this unit of size is not known"
        raise InputError(message)
    return number(found.text, 0) * UNITS[unit]


def layers(source_holder: ET.Element) -> Iterator[ET.Element]:
    """Yield a disk element and every backing store below it that is not the chain's empty end."""
    yield source_holder
    below = source_holder.find("backingStore")
    if below is not None and len(below):
        yield from layers(below)


def local(element: ET.Element) -> str:
    """Return an element's name without its namespace; "" for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def plain_attribute(element: ET.Element, name: str) -> str | None:
    """Return an attribute by its name without a namespace; None when it is missing."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None
