"""Read what nut-scanner found on a host, and offer it as entries for the town file; pure.

nut-scanner(8) of NUT 2.8, `--disp_parsable`: a line for each device, as
`USB:driver="usbhid-ups",port="auto",vendorid="0463",...`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# By these a driver finds its device again after a restart; bus and device numbers change.
USB_OPTIONS = ("vendorid", "productid", "serial")
# Of whole series at once, so they tell nothing: "", "000000", "   ", "FFFF", "0123456789".
NO_SERIAL = re.compile(r"\s*(\S?)\1*\s*|0?123456789?0?")
CYBERPOWER = "0764"  # its vendor number; it rounds delays down to whole minutes
SECRET = re.compile(r"password|community", re.IGNORECASE)
_LINE = re.compile(r'^([A-Za-z0-9_]+):(driver="[^"]*",.*)$')
_PAIR = re.compile(r'([A-Za-z][A-Za-z0-9_.-]*)(?:="([^"]*)")?(?:,|$)')
# What ups.conf keeps as it is: ASCII but for ", # and backslash. A serial number with other signs
# reaches no driver whole, and then fits no device.
_SAFE = re.compile(r"[ !$-\[\]-~]*")
_OPERATORS = re.compile(r"[](){}.*+?^$|[]")  # of the expression that a driver makes of a value
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Found:
    """One device: how it is reached, and what nut-scanner says of it."""

    bus: str
    driver: str
    port: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Who made it and what it is, as far as it says so."""
        said = (self.options.get(key, "").strip() for key in ("vendor", "product", "desc"))
        words = " ".join(word for word in said if word) or self.driver
        return "".join(sign if sign.isprintable() else "?" for sign in words)

    @property
    def has_serial(self) -> bool:
        """Whether its serial number tells it from its sisters."""
        serial = self.options.get("serial", "")
        return not NO_SERIAL.fullmatch(serial) and _SAFE.fullmatch(serial) is not None

    @property
    def kept(self) -> dict[str, str]:
        """The settings that its driver needs; no secrets, which are no part of a town file."""
        wanted = {
            key: _OPERATORS.sub(".", value.strip()) if self.bus == "USB" else value
            for key, value in self.options.items()
            if _SAFE.fullmatch(value)
            and not SECRET.search(key)
            and (key in USB_OPTIONS if self.bus == "USB" else key != "desc")
        }
        if not self.has_serial:
            wanted.pop("serial", None)
        return wanted


def read(text: str) -> list[Found]:
    """Return the devices in nut-scanner's parsable output, in its order; other lines are noise."""
    found = []
    for line in text.split("\n"):  # a name may have other signs that end a line elsewhere
        if not (match := _LINE.match(line.strip())):
            continue
        pairs = dict(_PAIR.findall(match.group(2)))
        driver, port = pairs.pop("driver"), pairs.pop("port", "auto")
        found.append(Found(match.group(1), driver, port, pairs))
    return found


def entries(found: Collection[Found], host: str, taken: Collection[str]) -> str:
    """Return the devices as a section `ups:` of the town file, with names that are not `taken`."""
    names = (f"ups{number}" for number in range(1, 1000) if f"ups{number}" not in taken)
    lines = ["ups:"]
    for one, name in zip(found, names, strict=False):
        lines += _entry(one, name, host)
        if not one.has_serial and sum(_alike(one, other) for other in found) > 1:
            lines.append("    # has a sister and no serial number: nobody can tell them apart")
    return "\n".join(lines)


def _entry(one: Found, name: str, host: str) -> list[str]:
    lines = [
        f"  {name}:  # {one.title}",
        f"    host: {host}",
        f"    driver: {one.driver if _PLAIN.fullmatch(one.driver) else json.dumps(one.driver)}",
        f"    port: {json.dumps(one.port)}",
    ]
    if one.kept:
        lines.append("    options:")
        lines += [f"      {key}: {json.dumps(value)}" for key, value in one.kept.items()]
    if any(SECRET.search(key) for key in one.options):
        lines.append("    # what it wants as a password or community is not shown here")
    if one.options.get("vendorid") == CYBERPOWER:
        lines += [
            "    offdelay_seconds: 60  # this maker takes whole minutes; less than one is none",
            "    ondelay_seconds: 120",
        ]
    lines.append("    clients: []  # hosts that it feeds, besides this one")
    return lines


def _alike(one: Found, other: Found) -> bool:
    return (one.driver, one.kept) == (other.driver, other.kept)
