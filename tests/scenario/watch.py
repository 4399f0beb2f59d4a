"""An independent pair of eyes: only stock tools at the hosts' consoles, no line of the product.

What the product says of its own work is not believed here: if its verifier lied, these would not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.lab.topology import Lab

SOURCE = {
    "compta": "sha256sum < /var/lib/libvirt/images/compta.raw",
    "dossiers": "qemu-img convert -O raw /var/lib/libvirt/images/dossiers.qcow2 /tmp/whole.raw"
    " && sha256sum < /tmp/whole.raw; rm -f /tmp/whole.raw",
}
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 5) as link:
    link.sendall(b"status\\n")
    print(link.makefile().readline())
"""


def console(lab: Lab, host: str, line: str) -> str:
    """Run a shell line at a host's console."""
    podman = ["podman", "--runtime", "runc", "exec", f"{lab.name}-{host}", "sh", "-ec", line]
    return subprocess.run(podman, capture_output=True, text=True, timeout=120, check=True).stdout


def disks_differ(lab: Lab, guest: str) -> bool:
    """Compare the disk left at the source with the volume on the node, both at rest."""
    there = console(lab, "old", SOURCE[guest]).split()[0]
    vmid = lab.town.guests[guest].vmid
    here = console(lab, "pve1", f"sha256sum < /srv/vmdata/images/{vmid}/vm-{vmid}-disk-0.raw")
    return there != here.split()[0]


def chain(lab: Lab, guest: str) -> dict[str, Any]:
    """Ask a guest for its own verdict on all it ever wrote."""
    address = str(lab.town.guests[guest].nics[0].address)
    argv = ["nsenter", f"--net=/run/netns/{lab.name}-ws", sys.executable, "-c", ASK, address]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    verdict: dict[str, Any] = json.loads(said)
    return verdict


def unsealed(lab: Lab, folder: str) -> list[str]:
    """Return what of a copy on the vault could be altered: not immutable, by lsattr."""
    listed = console(lab, "vault", f"lsattr -d {folder}; lsattr -R {folder}")
    rows = [line.split(None, 1) for line in listed.splitlines() if line.startswith("-")]
    return [name for flags, name in rows if "i" not in flags]


def alter(lab: Lab, folder: str) -> None:
    """Flip a byte of a sealed copy, as root of the vault can, and seal it again."""
    console(
        lab,
        "vault",
        f"disk={folder}/vda.raw; offset=$((66 << 20));"
        f" btrfs property set -f -ts {folder} ro false; chattr -i {folder} $disk;"
        " byte=$(od -An -tu1 -j $offset -N 1 $disk | tr -d ' ');"
        ' printf "\\\\$(printf %o $((byte ^ 1)))" |'
        " dd of=$disk bs=1 seek=$offset conv=notrunc status=none;"
        f" chattr +i {folder} $disk; btrfs property set -ts {folder} ro true",
    )


class Asking:
    """Asks by ARP, in `with`, ten times a second, who has an address: from which port answers come.

    Its capture sits on the bridge's ports, of the old host and of the node.
    """

    def __init__(self, lab: Lab, guest: str) -> None:
        """Ask for a guest's first address; only its own hardware address may answer."""
        nic = lab.town.guests[guest].nics[0]
        probe = Path(__file__).with_name("probe.py")
        argv = [sys.executable, "-u", str(probe), str(nic.address), "br0", "old", "pve1"]
        self._argv = lab.workstation(argv)
        self._mac = nic.mac
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Asking:
        """Begin to ask."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._reader.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Ask no more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        """Take what is printed at once: a full pipe would hold the asking up."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)

    def hear(self, port: str, times: int, patience: float = 60) -> None:
        """Go on until the latest answers, so many, came by one port; fails after a while."""
        end = time.monotonic() + patience
        while True:
            seen = spells(self._answers())
            if seen and seen[-1][0] == port and seen[-1][1] >= times:
                return
            assert time.monotonic() < end, f"the latest answers are not by {port}: {seen}"
            time.sleep(0.2)

    def heard(self) -> list[set[str]]:
        """Return, for each asking, the ports by which answers to it came; ends the asking."""
        self.__exit__()
        return self._answers()

    def _answers(self) -> list[set[str]]:
        """Return, for each asking until now, the ports by which answers to it came."""
        answers: list[set[str]] = []
        for line in list(self._lines):
            match line.split():
                case ["asked", number]:
                    answers.append(set())
                    assert len(answers) == int(number)
                case ["answer", number, port, mac]:
                    assert mac == self._mac, f"{mac} says that it has the address, by {port}"
                    answers[int(number) - 1].add(port)
        return answers


def spells(heard: list[set[str]]) -> list[tuple[str, int]]:
    """Return the ports in the order in which they answered, with how often each did in a row.

    Fails when one asking was answered by both; askings that nobody answered are left out.
    """
    rows: list[tuple[str, int]] = []
    for number, ports in enumerate(heard, 1):
        assert len(ports) < 2, f"asking {number} of {len(heard)} was answered at {sorted(ports)}"
        for port in ports:
            before = rows.pop()[1] if rows and rows[-1][0] == port else 0
            rows.append((port, before + 1))
    return rows
