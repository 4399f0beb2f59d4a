"""Read what `ip -j link` or `ip -j address` prints; without -d a bridge looks like a card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

Link = dict[str, Any]


def read_ip(text: str, where: str) -> list[Link]:
    """Return the links without the loopback; raises InputError, naming `where`, for no such list.

    A map from names to links is taken too.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{where}: this is no JSON: {error}"
        raise InputError(message) from None
    rows = list(said.values()) if isinstance(said, dict) else said
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"{where}: this is no list of links as `ip -j` prints it"
        raise InputError(message)
    links = [row for row in rows if isinstance(row.get("ifname"), str)]
    if rows and not links and any(rows):
        message = f"{where}: this is no list of links as `ip -j` prints it: none has an ifname"
        raise InputError(message)
    return [row for row in links if row.get("link_type") != "loopback" and row["ifname"] != "lo"]


def _kind(link: Link) -> str | None:
    info = link.get("linkinfo")
    kind = info.get("info_kind") if isinstance(info, dict) else None
    return kind if isinstance(kind, str) else None


def _addresses(link: Link) -> list[dict[str, Any]]:
    rows = link.get("addr_info")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and row.get("local")]


def ip_facts(links: list[Link]) -> dict[str, Any]:
    """Return what the list says, plainly."""
    names: dict[str, list[str]] = {"bridge": [], "bond": [], "vlan": []}
    for link in links:
        if _kind(link) in names:
            names[_kind(link) or ""].append(link["ifname"])
    addresses = [row for link in links for row in _addresses(link)]
    return {
        "name": None,
        "disks": 0,
        "nics": 0,
        "ifaces": len(links),
        "iface_names": [link["ifname"] for link in links],
        "bridges": names["bridge"],
        "bonds": names["bond"],
        "vlans": names["vlan"],
        "slaves": {link["ifname"]: link["master"] for link in links if link.get("master")},
        "addresses": len(addresses),
        "inet6": sum(row.get("family") == "inet6" for row in addresses),
        "kinds": sorted({kind for link in links if (kind := _kind(link))}),
        "has_linkinfo": any(isinstance(link.get("linkinfo"), dict) for link in links),
    }


def ip_notes(links: list[Link]) -> Iterator[str]:
    """Yield what a person should know."""
    if links and not any(isinstance(link.get("linkinfo"), dict) for link in links):
        yield "bridges, bonds and VLANs cannot be told from cards: record `ip -d -j` instead"
