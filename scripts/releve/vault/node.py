"""What a node of Proxmox VE says of its guests, read from its own files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from releve.vault.run import run

_DISK = re.compile(r"(virtio|scsi|sata|ide|efidisk|tpmstate)\d+\Z")
_START_TIME = 19
"""Field of /proc/PID/stat, counted after the program's name."""


class NodeError(Exception):
    """The node does not have what is asked for."""


@dataclass(frozen=True, slots=True)
class NodeGuest:
    """One guest of the node; `root` is / but in tests."""

    vmid: int
    root: Path = Path("/")

    @property
    def monitor(self) -> Path:
        """QEMU's monitor."""
        return self.root / f"run/qemu-server/{self.vmid}.qmp"

    def config(self) -> dict[str, str]:
        """Return the guest's settings, without snapshots; raises NodeError when there is none."""
        file = self.root / f"etc/pve/qemu-server/{self.vmid}.conf"
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            message = f"{file}: this node has no guest {self.vmid}"
            raise NodeError(message) from error
        settings = {}
        for line in text.splitlines():
            if line.startswith("["):
                break
            key, found, value = line.partition(": ")
            if found and not line.startswith("#"):
                settings[key] = value
        return settings

    def disks(self) -> dict[str, str]:
        """Return slot -> volume of the disks that PVE would back up."""
        disks = {}
        for slot, value in sorted(self.config().items()):
            volume, *options = value.split(",")
            skipped = {"media=cdrom", "backup=0"} & set(options)
            if _DISK.match(slot) and not skipped and volume not in {"none", "cdrom"}:
                disks[slot] = volume
        return disks

    def refuse_unfrozen(self) -> None:
        """Raise NodeError when not all that the guest has can be frozen while it works.

        The state of a TPM is written beside QEMU: no bitmap records it, no snapshot holds it.
        """
        if held := [slot for slot in self.disks() if slot.startswith("tpmstate")]:
            message = (
                f"guest {self.vmid}: {held[0]} cannot be frozen while the guest works;"
                " shut it down for its copy"
            )
            raise NodeError(message)

    def qemu(self) -> str | None:
        """Return which QEMU runs the guest (`pid:starttime`), None when it is off.

        A bitmap of another QEMU proves nothing: a rollback with memory brings old ones back.
        """
        try:
            text = (self.root / f"run/qemu-server/{self.vmid}.pid").read_text(encoding="utf-8")
            pid = int(text)
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return f"{pid}:{fields.split()[_START_TIME]}"

    def volume(self, name: str) -> Path:
        """Return the file or device of a volume."""
        return Path(run(["pvesm", "path", name], seconds=30).strip())
