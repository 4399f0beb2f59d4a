"""Who has an address: what the kernel keeps of one that has left says nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from releve.migrate.preflight.collect_host import neighbour_script

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS, MAC = "192.0.2.9", "02:00:00:00:00:09"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace of its own: root only"),
    pytest.mark.skipif(not shutil.which("ip"), reason="no ip here"),
]
NETWORK = f"""
set -e
ip link add one type veth peer name two
ip address add 192.0.2.1/24 dev one
ip link set one up
ip link set two up
ip neigh replace {ADDRESS} lladdr {MAC} dev one nud STATE
"""


# What this network's ping does of the real one's work: one packet goes out, no answer comes.
PING = f"""\
#!{sys.executable}
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("{ADDRESS}", 9))
raise SystemExit(1)
"""


def asked(folder: Path, state: str) -> str:
    """Return what is said of an address at which nobody is, when the kernel holds `state` of it."""
    (folder / "ping").write_text(PING)
    (folder / "ping").chmod(0o755)
    script = f"PATH={folder}:$PATH{NETWORK.replace('STATE', state)}set +e\n"
    script += neighbour_script([ADDRESS])
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_address_whose_owner_has_left_is_free(tmp_path: Path) -> None:
    assert "lladdr" not in asked(tmp_path, "stale")


def test_an_address_that_the_kernel_knows_for_certain_is_taken(tmp_path: Path) -> None:
    """As after an answer to ARP of a machine that ignores pings."""
    assert f"lladdr {MAC}" in asked(tmp_path, "permanent")
