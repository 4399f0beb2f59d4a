"""Measure the way of a guest's bytes for a few seconds, by reading and throwing away."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

from releve.command import CommandError
from releve.migrate.preflight.facts import PathFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.ssh import Ssh

BLOCK = 1 << 20
MOST_BYTES = 4 << 30
PATIENCE = 20.0
OVERHEAD = 28  # bytes of IP and ICMP around a ping's own
_READ = """\
dd if={file} of=/dev/null bs=1M count={count} iflag=direct 2>&1 ||
  dd if={file} of=/dev/null bs=1M count={count} 2>&1
"""
CIPHER = ("-c", "aes128-gcm@openssh.com")


def probe(
    old: Ssh, node: Ssh, disk: str, seconds: float, *, pinned: Mapping[str, bool], mtu: int
) -> PathFacts:
    """Return the rates that were seen; the way leads through this workstation, so it is a floor.

    `disk` is a file or device at the old host, "" for none; `mtu` its bridge's, 0 if not known.
    """
    return PathFacts(
        pinned=pinned,
        rate=_send(old, node, seconds),
        read_rate=_read(old, disk, seconds) if disk.startswith("/") else None,
        mtu=_full_frame(node, old.address, mtu) if mtu > OVERHEAD else None,
    )


def _send(old: Ssh, node: Ssh, seconds: float) -> float | None:
    """Let the old host send zeros to the node for so long; bytes a second, None if it failed."""
    give = f"timeout {seconds:g} dd if=/dev/zero bs=1M count={MOST_BYTES // BLOCK} 2>/dev/null"
    take = "wc -c"
    begun = time.monotonic()
    with (
        subprocess.Popen(
            ["ssh", *CIPHER, *old.argv(give)[1:]], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        ) as sender,
        subprocess.Popen(
            ["ssh", *CIPHER, *node.argv(take)[1:]], stdin=sender.stdout, stdout=subprocess.PIPE
        ) as taker,
    ):
        try:
            said = taker.communicate(timeout=seconds + PATIENCE)[0].decode()
        except subprocess.TimeoutExpired:
            return None
        finally:
            sender.kill()
            taker.kill()
    took = time.monotonic() - begun
    return int(said) / took if said.strip().isdigit() else None


def _read(old: Ssh, disk: str, seconds: float) -> float | None:
    """Read the beginning of the guest's disk at the old host; bytes a second."""
    count = 64
    try:
        said = old.run(
            _READ.format(file=shlex.quote(disk), count=count), timeout=seconds + PATIENCE
        ).stdout
    except CommandError:
        return None
    return rate_of(said)


def rate_of(said: str) -> float | None:
    """Return the bytes a second that `dd` tells: `67108864 bytes ... copied, 0.5 s, ...`."""
    found = re.findall(r"(\d+) bytes .*copied, ([\d.e-]+) s", said)
    if not found or float(found[-1][1]) == 0:
        return None
    return int(found[-1][0]) / float(found[-1][1])


def _full_frame(node: Ssh, address: str, mtu: int) -> bool | None:
    line = f"ping -n -c 2 -W 1 -M do -s {mtu - OVERHEAD} {address} >/dev/null; echo $?"
    small = f"ping -n -c 2 -W 1 {address} >/dev/null; echo $?"
    try:
        if node.run(line).stdout.strip() == "0":
            return True
        return False if node.run(small).stdout.strip() == "0" else None
    except CommandError:
        return None
