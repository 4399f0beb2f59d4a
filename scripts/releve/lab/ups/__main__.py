"""The process of the lab's UPS: `python -m releve.lab.ups CHECKOUT`; ends with the lab.

It runs in the machine's own namespaces, since it drives podman, and hears Wake-on-LAN packets on
a socket of the lab's network.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from releve.command import CommandError
from releve.errors import InputError
from releve.lab import network
from releve.lab.podman import podman
from releve.lab.topology import Lab
from releve.lab.ups import magic
from releve.lab.ups.battery import Battery
from releve.lab.ups.machines import Containers
from releve.lab.ups.world import Journal, World

TICK = 0.2  # seconds
LOOK = 1.0  # seconds from one look of podman's to the next
BATTERY_SECONDS = 275.0  # that it carries the lab, when full; its LB comes 15 s before the end
LOG = logging.getLogger(__name__)


def world_of(lab: Lab) -> World:
    """Return the world of the town's first UPS; raises InputError when it has none."""
    if not lab.town.ups:
        message = f"{lab.town.file.name}: ups: the town has none, so there is nothing to simulate"
        raise InputError(message)
    name, ups = next(iter(lab.town.ups.items()))
    fed = (ups.host, *ups.clients)
    wake = {str(host.mac): one for one, host in lab.town.hosts.items() if host.mac}
    return World(
        ups=name,
        folder=lab.world,
        machines=Containers(Processes(lab, fed), lab.power_cut, Starter(lab)),
        journal=Journal(lab.world / "events.jsonl"),
        battery=Battery(BATTERY_SECONDS),
        fed=fed,
        wake=wake,
    )


class Powered(Protocol):
    """Hosts that are containers of these names."""

    def part(self, name: str) -> str:
        """Return the name that a host has in podman."""

    def power_on(self, host: str) -> None:
        """Start a host; returns when podman has."""


class Processes:
    """The first process of each host, looked up beside the clock: podman may take seconds."""

    def __init__(
        self, lab: Powered, hosts: tuple[str, ...], ended: threading.Event | None = None
    ) -> None:
        """Look now, and once in each LOOK in which one is asked for, until it has `ended`.

        Who knows a living process asks for none: podman then costs a quiet lab nothing.
        """
        self.lab, self.hosts, self.ended = lab, hosts, ended or threading.Event()
        self.pids: dict[str, int] = {}
        self.asked = threading.Event()
        self.look()
        threading.Thread(target=self._for_ever, daemon=True).start()

    def __call__(self, host: str) -> int | None:
        """Return the process id of a host's init as this machine counts it; it may be gone."""
        self.asked.set()
        return self.pids.get(host)

    def look(self) -> None:
        """Ask podman for all hosts at once."""
        names = [self.lab.part(host) for host in self.hosts]
        asked = podman("inspect", "--format", "{{.State.Pid}}", *names, check=False)
        if asked.returncode == 0:
            self.pids = dict(zip(self.hosts, map(int, asked.stdout.split()), strict=True))

    def _for_ever(self) -> None:
        while not self.ended.wait(LOOK):
            if not self.asked.is_set():
                continue
            self.asked.clear()
            try:
                self.look()
            except CommandError as error:
                LOG.warning("podman does not say which hosts run: %s", error)


class Starter:
    """Starts hosts beside the clock: a start takes podman a second, the battery goes on."""

    def __init__(self, lab: Powered) -> None:
        """Start hosts of this lab."""
        self.lab = lab
        self.busy: dict[str, threading.Thread] = {}

    def __call__(self, host: str) -> None:
        """Start one host, unless that is going on already."""
        thread = self.busy.get(host)
        if thread is None or not thread.is_alive():
            self.busy[host] = threading.Thread(target=self.lab.power_on, args=(host,), daemon=True)
            self.busy[host].start()


def main() -> None:
    """Run for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    lab = Lab.of(Path(sys.argv[1]))
    world = world_of(lab)
    world.prepare()
    heard = magic.listen(network.NETNS / lab.part("ws"))
    last = time.monotonic()
    LOG.info("%s feeds %s", world.ups, ", ".join(world.fed))
    while True:
        time.sleep(TICK)
        now = time.monotonic()
        world.tick(now, now - last, magic.heard_addresses(heard))
        last = now


if __name__ == "__main__":
    main()
