"""Addresses, names of machines and network cards, as NUT, nftables and rewake take them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from releve.power.inputs.typed import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
DAY = 86_400
# Inputs that both roles have.
RANGES: dict[str, tuple[float, float]] = {
    "abort_seconds": (0, 3600),
    "boot_gate_seconds": (1, DAY),
    "finaldelay": (0, 3600),
    "login_seconds": (1, 3600),
    "min_supplies": (1, 64),
    "pollfreq": (1, 60),
    "pollfreqalert": (1, 60),
}
# And of the entries of lists, whatever their list.
OF_ENTRIES: dict[str, tuple[float, float]] = {
    "after_seconds": (1, DAY),
    "battery_life_months": (1, 240),
    "below_seconds": (1, DAY),
    "capacity_seconds": (1, DAY),
    "measured_seconds": (0, DAY),
    "offdelay": (0, DAY),
    "ondelay": (0, DAY),
    "order": (0, 2**31),
    "planned_outage_seconds": (1, DAY),
    "stop_seconds": (1, DAY),
    "supplies": (0, 64),  # none: it is watched, and feeds something else
    "vmid": (100, 999_999_999),
}
FREE = {"accept", "options", "record"}  # what stands in these is not the role's
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def no_address(where: str, text: str) -> Iterator[str]:
    """Yield why a text is no address as upsd writes one; a login is looked for by that."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        yield f'{where}: "{text}" is no address such as 192.0.2.10'
        return
    if str(address) != text:
        yield f'{where}: write "{text}" as {address}, the way NUT does'


def no_ipv4(where: str, text: str, example: str) -> Iterator[str]:
    """Yield why a text is no IPv4 address; echo requests and Wake-on-LAN know no other."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        yield f'{where}: "{text}" is no IPv4 address such as {example}'


def no_network(where: str, text: str) -> Iterator[str]:
    """Yield why a text is neither an address nor a network."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        yield f'{where}: "{text}" is no address and no network such as 192.0.2.0/24 ({error})'


def no_server(where: str, text: str) -> Iterator[str]:
    """Yield why a text is neither an address nor the name of a machine."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST.fullmatch(text):
            yield (
                f'{where}: "{text}" is no address and no name of a machine'
                " (no port, no @, no brackets)"
            )


def no_card(where: str, text: str) -> Iterator[str]:
    """Yield why a text is no address of a network card; an empty one is: nobody is woken."""
    if text and not MAC.fullmatch(text):
        yield f'{where}: "{text}" is no address of a network card; write it as "02:00:5e:00:53:0b"'


def out_of_range(
    prefix: str, values: dict[str, Any], ranges: dict[str, tuple[float, float]]
) -> Iterator[str]:
    """Yield the numbers that are too small or too large, those of entries too."""
    for name, value in values.items():
        if name.startswith(prefix):
            yield from _out(name, name.removeprefix(prefix), value, OF_ENTRIES | ranges)


def _out(
    where: str,
    key: str,
    value: Any,  # noqa: ANN401  # JSON
    ranges: dict[str, tuple[float, float]],
) -> Iterator[str]:
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _out(f"{where}[{name_of(one, number)}]", "", one, ranges)
    elif isinstance(value, dict) and key not in FREE:
        for inner, one in value.items():
            yield from _out(f"{where}.{inner}", inner, one, ranges)
    elif isinstance(value, int | float) and key in ranges:
        least, most = ranges[key]
        if not least <= value <= most:
            share = ": a share, 0.8 is 80 %" if most == 1 else ""
            yield f"{where}: {value} is not between {least:.10g} and {most:.10g}{share}"
