"""Addresses and ports as upsd and upsmon of NUT 2.8.1 take them.

server/upsd.c: an address of version 6 takes no connection of version 4, of a name only the first
address is bound, and all of them in the order of the file. clients/upsclient.c: a name is tried at
each of its addresses.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from releve.power.lint.parse import atoi

PORT = "3493"
EVERYWHERE = frozenset({"0.0.0.0", "::", "::0", "*"})  # noqa: S104  # judged, not bound
LOCALHOST = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})
_BOTH = frozenset({IPv4Address("127.0.0.1"), IPv6Address("::1")})
_SERVICES = {"nut": 3493}  # of /etc/services
_PORTS = 65536


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a word is (127.1 is one, too), None for a name."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        pass
    try:
        return ip_address(socket.inet_aton(text)) if re.fullmatch(r"[0-9.]+", text) else None
    except OSError:
        return None


def alike(text: str) -> str:
    """Return an address in its one form, a name as it is."""
    found = address_of(text)
    return text.lower() if found is None else str(found)


def is_loopback(text: str) -> bool:
    """Tell whether an address or name can only be this host's."""
    found = address_of(text)
    return text.lower() in LOCALHOST if found is None else found.is_loopback


def split(text: str) -> tuple[str, str]:
    """Split HOST, HOST:PORT and [IPv6]:PORT as upsmon does; a port that it does not take is "0"."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1] == ":", rest[1:]
    else:
        host, separator, port = text.partition(":")
        colon = bool(separator)
    if not colon:
        return host, PORT
    number = atoi(port)
    return host, str(number) if 0 < number < _PORTS else "0"


def takes(listen: str, asked: str, localhost: str) -> bool | None:
    """Tell whether who asks at `asked` finds what listens at `listen`; None: a resolver knows.

    `localhost`: the first address of that name, which upsd binds.
    """
    if listen == "*":
        return True
    bound = address_of(localhost if listen.lower() in LOCALHOST else listen)
    wanted = address_of(asked)
    if bound is None:
        return True if listen.lower() == asked.lower() else None
    if wanted is None and asked.lower() in LOCALHOST:
        return bound in _BOTH or bound.is_unspecified
    if wanted is None:
        return False if bound.is_loopback else None
    return bound.version == wanted.version if bound.is_unspecified else bound == wanted


def shadows(first: str, later: str, localhost: str) -> bool:
    """Tell whether upsd, which has bound `first`, no longer gets all that `later` stands for.

    Linux gives a whole family to nobody while one address of it is taken on that port.
    """
    own = address_of(localhost if first.lower() in LOCALHOST else first)
    wanted = address_of(later)
    if own is None or own.is_unspecified:
        return False
    if wanted is None:
        return later == "*"
    return wanted.is_unspecified and wanted.version == own.version


def same_port(listen: str, asked: str) -> bool:
    """Tell whether a port of upsd.conf is the one of a MONITOR line; a resolver drops 65536."""
    number = _SERVICES.get(listen, atoi(listen) % _PORTS)
    return str(number) == asked
