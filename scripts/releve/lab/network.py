"""The lab's network: namespaces of our own, one bridge, and no way out.

The workstation's side (bridge and first address) lives in a namespace as well: the machine itself
never gets a route or an address of the lab. With the lab down, a connection ends in "Network is
unreachable" instead of leaving by the machine's default route.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

from releve.command import run
from releve.errors import RefusedError
from releve.lab.cache import key_of

NAME_LIMIT = 15
NETNS = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a host hangs on the network; with `bridge`, its address is on a bridge for guests."""

    address: IPv4Address
    bridge: str | None = None


def namespaces(prefix: str) -> list[str]:
    """Return the network namespaces whose name begins with `prefix`."""
    if not NETNS.is_dir():
        return []
    return sorted(entry.name for entry in NETNS.iterdir() if entry.name.startswith(prefix))


def inside(namespace: str) -> tuple[str, ...]:
    """Return the words to put before a command so that it runs in a namespace.

    nsenter and not `ip netns exec`: that one also makes a mount namespace, in which a container
    started from there would leave its file system.
    """
    return ("nsenter", f"--net={NETNS / namespace}", "--")


def refuse_overlap(network: IPv4Network) -> None:
    """Raise RefusedError when the machine itself has an address or a route in the network."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"], timeout=10).stdout)
    for route in routes:
        target = route.get("dst", "default")
        if target == "default":
            continue
        if ip_network(target, strict=False).overlaps(network):
            message = (
                f"{network}: this machine has a route to {target} (device {route.get('dev')}), and "
                "the lab uses that network inside its own namespaces; take that route away, or "
                "give the lab another network in inventory/lab/town.yml"
            )
            raise RefusedError(message)


def _bridge_address(namespace: str) -> str:
    """Return a hardware address for a namespace's bridge.

    Without one of its own a bridge takes the lowest of its ports': it changes when a guest starts,
    and connections stall until their peers ask for it again.
    """
    digest = hashlib.sha256(namespace.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def make_workstation(namespace: str, network: IPv4Network) -> None:
    """Make the workstation's namespace: the bridge, with the network's first address."""
    if (NETNS / namespace).exists():
        return
    first = f"{network[1]}/{network.prefixlen}"
    _ip("netns", "add", namespace)
    _batch(
        namespace,
        "link set lo up",
        f"link add br0 address {_bridge_address(namespace)} type bridge",
        f"addr add {first} dev br0",
        "link set br0 up",
    )


def make_host(
    namespace: str, workstation: str, port: str, network: IPv4Network, attachment: Attachment
) -> None:
    """Make a host's namespace: a cable to the bridge (there named `port`) and an address."""
    # A device's name has 15 characters at most.
    port = port if len(port) <= NAME_LIMIT else f"p{key_of(port)}"
    _ip("netns", "add", namespace)
    _ip("-n", workstation, "link", "add", port, "type", "veth", "peer", "eth0", "netns", namespace)
    _batch(workstation, f"link set {port} master br0 up")
    device = attachment.bridge or "eth0"
    lines = ["link set lo up"]
    if attachment.bridge:
        address = _bridge_address(namespace)
        lines += [
            f"link add {device} address {address} type bridge",
            f"link set eth0 master {device}",
        ]
    lines += [
        "link set eth0 up",
        f"addr add {attachment.address}/{network.prefixlen} dev {device}",
        f"link set {device} up",
    ]
    _batch(namespace, *lines)


def drop_guest_ports(namespace: str) -> None:
    """Take away the guests' network devices that a power cut left in a host's namespace."""
    links = json.loads(run(["ip", "-n", namespace, "-j", "link", "show"], timeout=10).stdout)
    for link in links:
        if link["ifname"].startswith(("tap", "vnet", "veth", "fw")):
            _ip("-n", namespace, "link", "delete", link["ifname"])


def processes(namespace: str) -> list[int]:
    """Return the process numbers that live in a namespace, without our own."""
    found = run(["ip", "netns", "pids", namespace], timeout=30).stdout.split()
    return [int(pid) for pid in found if int(pid) != os.getpid()]


def delete(namespace: str) -> None:
    """Delete a namespace; its devices go with it once the last process in it has ended."""
    _ip("netns", "delete", namespace)


def is_mounted(namespace: str) -> bool:
    """Say whether the name still stands for a namespace (not after a killed `ip netns add`)."""
    return (NETNS / namespace).stat().st_dev != NETNS.stat().st_dev


def is_ours(namespace: str) -> bool:
    """Say whether this process itself lives in the namespace."""
    here, there = Path("/proc/self/ns/net").stat(), (NETNS / namespace).stat()
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _ip(*words: str) -> None:
    run(["ip", *words], timeout=30)


def _batch(namespace: str, *lines: str) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], timeout=30, stdin="\n".join(lines) + "\n")
