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

from releve.errors import InputError
from releve.lab import network
from releve.lab.podman import podman
from releve.lab.topology import Lab
from releve.lab.ups import magic
from releve.lab.ups.battery import Battery
from releve.lab.ups.machines import Containers
from releve.lab.ups.world import Journal, World

TICK = 0.2  # seconds
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
        machines=Containers(lambda host: first_process(lab, host), lab.power_cut, Starter(lab)),
        journal=Journal(lab.world / "events.jsonl"),
        battery=Battery(ups.capacity_seconds),
        fed=fed,
        wake=wake,
    )


def first_process(lab: Lab, host: str) -> int | None:
    """Return the process id of a host's init, as this machine counts it."""
    asked = podman("inspect", "--format", "{{.State.Pid}}", lab.part(host), check=False)
    return int(asked.stdout) if asked.returncode == 0 and int(asked.stdout) > 0 else None


class Starter:
    """Starts hosts beside the clock: a start takes podman a second, the battery goes on."""

    def __init__(self, lab: Lab) -> None:
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
