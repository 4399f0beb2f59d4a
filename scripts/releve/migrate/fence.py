"""Keep a moved guest from starting at its old host, and undo exactly that.

The guest is undefined there; its definition is kept, whole, in a file beside its first disk. So
neither `virsh start`, nor autostart at a reboot, nor a graphical tool can start it by accident,
and nothing of the disks and EFI variables is touched. The TPM's state is put back: libvirt takes
it away with the definition, and only its later versions can be told not to.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.source import look
from releve.migrate.tpm import FOLDER as TPM_FOLDER

if TYPE_CHECKING:
    from releve.migrate.sources.base import SourceGuest
    from releve.ssh import Ssh

_FENCE = """\
set -e
umask 077
virsh -q dumpxml --inactive --security-info {name} > {file}.part
sync {file}.part
mv {file}.part {file}
i=0
until [ "$(LC_ALL=C virsh -q domstate {name})" = 'shut off' ]; do
  [ $i -lt 100 ] || {{ echo 'its QEMU does not end' >&2; exit 1; }}
  i=$((i + 1))
  sleep 0.1
done
state={tpm}/$(virsh -q domuuid {name})
if [ -d "$state" ]; then
  rm -rf "$state.part" "$state.kept"
  cp -a "$state" "$state.part"
  sync "$state.part"/*/*
  mv "$state.part" "$state.kept"
fi
virsh -q undefine --keep-nvram {name}
if [ -d "$state.kept" ]; then
  rm -rf "$state"
  mv "$state.kept" "$state"
fi
sync /etc/libvirt/qemu
"""
_UNFENCE = """\
set -e
if [ -s {file} ]; then
  virsh -q domuuid {name} >/dev/null 2>&1 || virsh -q define {file}
  state={tpm}/$(virsh -q domuuid {name})
  if [ -d "$state.kept" ] && [ ! -d "$state" ]; then mv "$state.kept" "$state"; fi
  {autostart}
  rm -f {file}
fi
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence around one guest of one host; `file` keeps its definition there.

    `tpm` is the folder in which libvirt has the state of TPMs, by the guests' UUIDs.
    """

    ssh: Ssh
    name: str
    file: str
    autostart: bool
    tpm: str = TPM_FOLDER

    @classmethod
    def around(cls, ssh: Ssh, guest: SourceGuest) -> Fence:
        """Return the fence for a guest as it is now."""
        folder = guest.disks[0].file.rpartition("/")[0]
        if folder.startswith("/dev") or not folder:
            folder = "/etc/libvirt"
        return cls(ssh, guest.name, f"{folder}/{guest.name}.moved-by-releve.xml", guest.autostart)

    def close(self) -> None:
        """Keep the definition, then undefine the guest; a guest that is gone is no fault."""
        if look(self.ssh, self.name) is not None:
            self.ssh.run(_FENCE.format(**self._words()))

    def closed(self) -> bool:
        """Say whether the host knows no such guest, running or not."""
        return look(self.ssh, self.name) is None

    def open(self) -> None:
        """Define the guest as it was, autostart included; idempotent."""
        self.ssh.run(_UNFENCE.format(**self._words()), timeout=120)

    def _words(self) -> dict[str, str]:
        name = shlex.quote(self.name)
        return {
            "name": name,
            "tpm": shlex.quote(self.tpm),
            "file": shlex.quote(self.file),
            "autostart": f"virsh -q autostart {name}" if self.autostart else ":",
        }
