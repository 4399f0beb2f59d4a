"""Hear Wake-on-LAN packets inside another network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import TYPE_CHECKING

from releve.errors import ReleveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLONE_NEWNET = 0x40000000
WAKE_PORT = 9
HEADER = b"\xff" * 6
REPEATS = 16


def listen(namespace: Path | None, port: int = WAKE_PORT) -> socket.socket:
    """Return a non-blocking UDP socket; it lives in the namespace (None: this one)."""
    if namespace is None:
        return _bound(port)
    with inside(namespace):
        return _bound(port)


@contextlib.contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Put this thread, and no other one, into a network namespace and take it back.

    A socket stays in the namespace that it was made in.
    """
    # Not /proc/self: that is the process's first thread, whichever one asks.
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(namespace, os.O_RDONLY)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)
        os.close(there)


def _enter(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        message = f"network namespace: cannot enter it ({reason}); run the lab as root"
        raise ReleveError(message)


def _bound(port: int) -> socket.socket:
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.setblocking(False)
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    heard.bind(("", port))
    return heard


def address_in(packet: bytes) -> str | None:
    """Return the MAC that a magic packet wakes, or None when it is not one."""
    body = packet[len(HEADER) :]
    octets = body[:6]
    if not packet.startswith(HEADER) or body[: 6 * REPEATS] != octets * REPEATS:
        return None
    return octets.hex(":")


def heard_addresses(heard: socket.socket) -> list[str]:
    """Return the MACs that were called since the last look."""
    addresses: list[str] = []
    while True:
        try:
            packet = heard.recv(1024)
        except BlockingIOError:
            return addresses
        address = address_in(packet)
        if address:
            addresses.append(address)
