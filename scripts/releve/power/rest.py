"""Stop the guests that Proxmox VE's own stop has left running.

systemd runs the ExecStop of pve-guests.service only when its start was over: a host that goes down
while its guests still start after a boot stops none of them. And a guest that was busy for longer
than 10 s was passed by. This is the ExecStop of a unit before pve-guests.service, thus after its
stop; with no guest running it does nothing. Standard library only; tagged "runs for ever".
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import TYPE_CHECKING

from releve.power.backups import ThisHost, abort_backups
from releve.power.guests import node_of
from releve.power.stop_history import NOTE, note, read, this_life
from releve.power.stops import TOOLS, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.backups import Host

STOPALL = ("pvesh", "--nooutput", "create", "/nodes/localhost/stopall")
DEADLINE = 10
LOG = logging.getLogger("stop-rest")


def stop_rest(host: Host, workers: int) -> list[str]:
    """Ask Proxmox VE once more when a guest runs; return what went wrong, one line each."""
    left = host.up()
    if not left:
        return []
    names = ", ".join(f"{live.guest.name} ({live.vmid})" for live in left)
    LOG.warning("still running after the stop of the guests: %s", names)
    done = abort_backups(host, DEADLINE)
    limit = TOOLS + seconds([live.guest for live in left], workers)
    faults = host.run([STOPALL], limit)
    cut = [f"{live.guest.name} ({live.vmid}) is cut" for live in host.up()]
    return [*done.named, *faults, *cut]


def note_down(file: Path, boot: str, now: float) -> None:
    """Add to the note of this stop that the guests are down, Unix time; raises OSError."""
    noted = read(file)
    if noted.get("boot") == boot:
        note(file, noted | {"guests_down_at": now})


def main(arguments: list[str]) -> int:
    """Stop what still runs; always 0, as nothing here may keep the host from stopping."""
    argparse.ArgumentParser(prog="power.pyz stop-rest").parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for line in stop_rest(ThisHost(), node_of().workers):
        LOG.warning("%s", line)
    try:
        note_down(NOTE, this_life().boot, time.time())
    except OSError as error:
        LOG.warning("%s: not noted: %s", NOTE, error)
    return 0
