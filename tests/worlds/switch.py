"""The network of a world: a switch in a namespace of its own, and one cable to each host."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.command import run
from releve.lab import network

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "releve-world-"
LENGTH = 24  # bits of a world's network; every world has the same one, in its own namespaces
FIRST = "198.51.100.1"
BROADCAST = "198.51.100.255"


@dataclass(frozen=True, slots=True)
class Switch:
    """`name` is the namespace of the switch; a host's is `name`-HOST."""

    name: str
    addresses: Mapping[str, str]

    @classmethod
    def of(cls, number: int, addresses: Mapping[str, str]) -> Switch:
        """Name the switch of this process's world number `number`."""
        return cls(f"{PREFIX}{os.getpid()}-{number}", addresses)

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.name}-{host}"

    def make(self) -> None:
        """Make the namespaces, the bridge and the cables."""
        run(["ip", "netns", "add", self.name], timeout=30)
        lines = [
            "link set lo up",
            "link add br0 type bridge",
            f"addr add {FIRST}/{LENGTH} dev br0",
            "link set br0 up",
        ]
        for host, address in self.addresses.items():
            inner, port = self.namespace(host), f"p-{host}"
            run(["ip", "netns", "add", inner], timeout=30)
            lines += [
                f"link add {port} type veth peer name eth0 netns {inner}",
                f"link set {port} master br0 up",
            ]
            self._batch(self.name, lines)
            lines = []
            own = ("link set lo up", f"addr add {address}/{LENGTH} dev eth0", "link set eth0 up")
            self._batch(inner, own)

    def port(self, host: str, *, up: bool) -> None:
        """Plug or pull the cable of a host at the switch."""
        self._batch(self.name, [f"link set p-{host} {'up' if up else 'down'}"])

    def power(self, *, up: bool) -> None:
        """Give the switch power, or take it: every cable goes dark."""
        self._batch(
            self.name, [f"link set p-{host} {'up' if up else 'down'}" for host in self.addresses]
        )

    def remove(self) -> None:
        """Delete the namespaces; whoever lives in them has ended before."""
        for name in (*map(self.namespace, self.addresses), self.name):
            if (network.NETNS / name).exists():
                network.delete(name)

    @staticmethod
    def _batch(namespace: str, lines: list[str] | tuple[str, ...]) -> None:
        words = ["ip", "-n", namespace, "-batch", "-"]
        run(words, timeout=30, stdin="\n".join(lines) + "\n")


def sweep() -> None:
    """Delete the namespaces of runs whose process is gone."""
    for name in network.namespaces(PREFIX):
        pid = name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            for left in network.processes(name):
                with contextlib.suppress(ProcessLookupError):  # it went with its host's first one
                    os.kill(left, 9)
            network.delete(name)
