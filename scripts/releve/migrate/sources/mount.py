"""An old host's files as the node sees them: mounted by sshfs, with a key that can only read.

The key's line in the old host's authorized_keys allows nothing but SFTP, from the node alone, and
the old host's own sshd refuses every write. Nothing is installed there. All layers and extents of
an image are reached by their own names, so that every kind of image works; QEMU's ssh driver and
nbdkit's open one file each and do not follow a descriptor.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.command import CommandError
from releve.migrate.errors import MigrateError
from releve.migrate.images.graph import HereOpener
from releve.migrate.images.model import ImageError
from releve.migrate.images.readers import SshReader
from releve.migrate.tunnel import CIPHER, authorise, make_key, revoke
from releve.migrate.worker import PATH

if TYPE_CHECKING:
    from pathlib import Path

    from releve.migrate.images.graph import Node
    from releve.ssh import Ssh

_MOUNT = """\
set -e
command -v sshfs >/dev/null || {{ echo 'sshfs is missing: apt-get install sshfs' >&2; exit 1; }}
install -d -m 0700 {folder}/source
sshfs {user}@{address}:/ {folder}/source \\
  -o ro,reconnect,auto_cache,BatchMode=yes,StrictHostKeyChecking=yes \\
  -o UserKnownHostsFile={folder}/known_hosts,IdentitiesOnly=yes,IdentityFile={folder}/key \\
  -o ConnectTimeout=5,ServerAliveInterval=5,ServerAliveCountMax=3
"""
_LEND = """\
set -e
PYTHONPATH={worker} /usr/bin/python3 -m releve.blocks.lend \\
  --socket {place}.sock --pid-file {place}.pid --size {size} --file {file} -- \\
  ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={folder}/known_hosts \\
  -o IdentitiesOnly=yes -i {folder}/key -o ConnectTimeout=5 \\
  -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -c {cipher} -s {user}@{address} sftp
"""
_UNMOUNT = """\
if grep -qF ' {folder}/source ' /proc/mounts; then
  umount {folder}/source || umount -l {folder}/source
fi
"""
_CLOSE = """\
grep -qF ' {folder}/source ' /proc/mounts && exit 1
rm -rf --one-file-system {folder}
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """The root of `old` below one run's folder on `node`; the same host needs no mount."""

    node: Ssh
    old: Ssh
    run: str
    known_hosts: Path | None

    @property
    def folder(self) -> str:
        """The run's folder in /run on the node."""
        return f"/run/releve/{self.run}"

    @property
    def here(self) -> bool:
        """Whether the files lie on the node itself."""
        return self.node.host == self.old.host

    @property
    def root(self) -> str:
        """What stands before an old host's path, on the node."""
        return "" if self.here else f"{self.folder}/source"

    def open(self) -> None:
        """Mount, in place of what an earlier run left; raises MigrateError."""
        self.unmount()
        if self.here:
            self.node.run(f"install -d -m 0700 /run/releve {self.folder}")
            return
        public = make_key(self.node, self.old, self.folder, self.run, self.known_hosts)
        options = f'restrict,from="{self.node.address}",command="internal-sftp -R"'
        authorise(self.old, options, public)
        words = {"folder": self.folder, "user": self.old.user, "address": self.old.address}
        try:
            self.node.run(_MOUNT.format(**words))
        except CommandError as error:
            message = (
                f"{self.node.host}: the files of {self.old.host} cannot be mounted: {error}; its"
                " sshd must allow SFTP for that user"
            )
            raise MigrateError(message) from error

    def lend(self, file: str, size: int) -> str:
        """Serve a block device of the old host at the node; return its socket.

        SFTP, and so a mount, knows no size of a device. Raises ImageError.
        """
        # the name of a socket may have 107 bytes
        place = f"{self.folder}/lend-{hashlib.sha256(file.encode()).hexdigest()[:12]}"
        words = {
            "worker": PATH,
            "place": shlex.quote(place),
            "size": size,
            "file": shlex.quote(file),
            "folder": self.folder,
            "cipher": CIPHER,
            "user": self.old.user,
            "address": self.old.address,
        }
        try:
            self.node.run(_LEND.format(**words))
        except CommandError as error:
            message = f"{self.old.host}: {file}: it cannot be read over SFTP: {error}"
            raise ImageError(message) from error
        return f"{place}.sock"

    def unmount(self) -> None:
        """Take the mount away; none is no fault."""
        if not self.here:
            self.node.run(_UNMOUNT.format(folder=self.folder))

    def close(self) -> None:
        """Take mount, folder and key away; a second time is no fault."""
        self.unmount()
        self.node.run(_CLOSE.format(folder=self.folder))
        if not self.here:
            revoke(self.old, self.folder, self.run)


@dataclass(frozen=True, slots=True)
class MountOpener(HereOpener):
    """QEMU on the node reaches the files below a mount."""

    mount: Mount

    def node(self, file: str, *, device: bool) -> Node:
        """See `Opener`; raises ImageError for a device that SFTP does not serve."""
        if device and not self.mount.here:
            socket = self.mount.lend(file, SshReader(self.mount.old).size(file))
            return {"driver": "nbd", "server": {"type": "unix", "path": socket}}
        driver = "host_device" if device else "file"
        node: Node = {"driver": driver, "filename": self.name(file)}
        # the locks of a mounted file are the node's own and say nothing: see `files_state`
        return node if self.mount.here else node | {"locking": "off"}

    def name(self, file: str) -> str:
        """See `Opener`."""
        return f"{self.mount.root}{file}"

    def text(self, name: str, content: str) -> str:
        """Keep a descriptor, whose extents have the node's names, in the run's folder."""
        kept = f"{self.mount.folder}/{name.strip('/').replace('/', '-')}"
        self.mount.node.run(f"cat > {shlex.quote(kept)}", stdin=content)
        return kept
