"""A guest that is a whole Debian: systemd, ssh, GRUB, an initramfs of its own; it boots in TCG too.

The lab's own guests are one program on a kernel, and quick; what is done inside of a guest wants a
real one. It is as the Debian installer leaves a machine with an IDE disk: nothing of it is ready
for another machine.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from releve.lab import images, keys
from releve.lab.hosts import SOURCE, copy_sparse
from releve.lab.podman import podman

if TYPE_CHECKING:
    from releve.lab.topology import Lab

SIZE_MIB = 640
CARD_SLOT = 3
CARD = f"ens{CARD_SLOT}"  # systemd's name for a card in that PCI slot


def make_disk(lab: Lab, name: str, target: Path) -> None:
    """Write the disk of a guest of the lab's town, at its first address; root logs in by ssh.

    The image is there already, see `images.ensure`. Raises CommandError with the last lines of
    what failed.
    """
    nic = lab.town.guests[name].nics[0]
    assert nic.address is not None  # noqa: S101  # whoever asks for a disk wants to log in
    prefix = lab.town.networks[nic.network].cidr.prefixlen
    with tempfile.TemporaryDirectory(dir=lab.state) as scratch:
        folder, out = Path(scratch) / "keys", Path(scratch) / "out"
        out.mkdir()
        keys.make_host_key(folder, nic.address, lab.known_hosts)
        shutil.copy(lab.identity.with_suffix(".pub"), folder / "authorized_keys")
        address = f"{nic.address}/{prefix}"
        settings = {"NAME": name, "CARD": CARD, "ADDRESS": address, "SIZE": str(SIZE_MIB)}
        podman(
            "run",
            "--rm",
            "--pull=never",
            "--network=none",
            "--cap-add=SYS_ADMIN",
            *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
            *(f"--env={key}={value}" for key, value in settings.items()),
            f"--volume={SOURCE / 'debian'}:/source:ro",
            f"--volume={folder}:/keys:ro",
            f"--volume={out}:/out",
            images.DEBIAN.reference,
            *("sh", "/source/build.sh"),
            timeout=300,
        )
        copy_sparse(out / "disk", target)
