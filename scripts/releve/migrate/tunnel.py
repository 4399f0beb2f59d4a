"""The way from the node to the old host: a key made for one run, and one forwarded socket.

The key lives in the node's /run and on one line of the old host's authorized_keys; that line
allows forwarding from the node alone and no command. Both are removed at the end.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.command import run
from releve.migrate.errors import MigrateError

if TYPE_CHECKING:
    from pathlib import Path

    from releve.ssh import Ssh

CIPHER = "aes128-gcm@openssh.com"  # OpenSSH's default costs half again as much CPU
SOCKET_SECONDS = 15
SOCKET = "nbd.sock"

_KEY = """\
set -e
install -d -m 0700 /run/releve {folder}
[ -s {folder}/key ] || ssh-keygen -q -t ed25519 -N '' -C releve-{run} -f {folder}/key
cat > {folder}/known_hosts
cat {folder}/key.pub
"""
_AUTHORIZE = """\
set -e
umask 077
mkdir -p ~/.ssh
touch ~/.ssh/authorized_keys
grep -qxF {line} ~/.ssh/authorized_keys && exit 0
[ -z "$(tail -c 1 ~/.ssh/authorized_keys)" ] || echo >> ~/.ssh/authorized_keys
printf '%s\\n' {line} >> ~/.ssh/authorized_keys
"""
_OPEN = """\
set -e
systemctl stop {unit} 2>/dev/null || systemctl reset-failed {unit} 2>/dev/null || :
rm -f {folder}/*.sock
systemd-run --quiet --collect --unit={unit} -p Restart=always -p RestartSec=1 \\
  ssh -N -o BatchMode=yes -o StrictHostKeyChecking=yes \\
  -o UserKnownHostsFile={folder}/known_hosts -o IdentitiesOnly=yes -i {folder}/key \\
  -o ExitOnForwardFailure=yes -o StreamLocalBindUnlink=yes -o ConnectTimeout=5 \\
  -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -c {cipher} \\
  {forwards} {user}@{address}
for _ in $(seq {tries}); do [ -S {folder}/{last} ] && exit 0; sleep 0.1; done
journalctl -q -n 3 -o cat -u {unit} >&2
exit 1
"""
_CLOSE = """\
systemctl stop {unit} 2>/dev/null
rm -rf {folder}
exit 0
"""
_REVOKE = """\
[ ! -f ~/.ssh/authorized_keys ] || sed -i '/ releve-{run}$/d' ~/.ssh/authorized_keys
rm -rf {folder}
"""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A forwarded socket on `node` that leads to `old`, for one run."""

    node: Ssh
    old: Ssh
    run: str
    known_hosts: Path | None

    @property
    def folder(self) -> str:
        """The run's folder in /run, on both hosts."""
        return f"/run/releve/{self.run}"

    @property
    def unit(self) -> str:
        """The name of the unit that holds the tunnel."""
        return f"releve-tunnel-{self.run}"

    @property
    def remote_socket(self) -> str:
        """Where QEMU's NBD server must listen on the old host."""
        return f"{self.folder}/{SOCKET}"

    @property
    def socket(self) -> str:
        """The same socket as the worker on the node sees it."""
        return f"{self.folder}/{SOCKET}"

    def make_folder(self, owner: int) -> None:
        """Make the folder of QEMU's socket on the old host, for the user that QEMU runs as."""
        folder = shlex.quote(self.folder)
        self.old.run(
            f"install -d -m 0711 /run/releve && install -d -m 0700 -o {owner} {folder}"
            f" && rm -f {folder}/nbd.sock"
        )

    def open(self, sockets: tuple[str, ...] = (SOCKET,)) -> None:
        """Make the key, authorise it, and hold the tunnel by a unit of the node.

        `sockets` are the names of what is forwarded, from the run's folder to the run's folder.
        """
        forwards = " ".join(
            f"-L {self.folder}/{name}:{self.folder}/{name}" for name in map(shlex.quote, sockets)
        )
        words = {"folder": self.folder, "run": self.run, "unit": self.unit}
        public = make_key(self.node, self.old, self.folder, self.run, self.known_hosts)
        options = f'restrict,port-forwarding,from="{self.node.address}",command="/bin/false"'
        authorise(self.old, options, public)
        self.node.run(
            _OPEN.format(
                **words,
                cipher=CIPHER,
                forwards=forwards,
                last=shlex.quote(sockets[-1]),
                user=self.old.user,
                address=self.old.address,
                tries=SOCKET_SECONDS * 10,
            ),
            timeout=SOCKET_SECONDS + 30,
        )

    def close(self) -> None:
        """Take the tunnel down and the key away, on both hosts; a second time is no fault."""
        words = {"folder": self.folder, "run": self.run, "unit": self.unit}
        self.node.run(_CLOSE.format(**words))
        revoke(self.old, self.folder, self.run)


def make_key(node: Ssh, old: Ssh, folder: str, run_id: str, known_hosts: Path | None) -> str:
    """Make a run's key in its folder on the node, unless it is there; return its public half."""
    words = {"folder": folder, "run": run_id}
    return node.run(_KEY.format(**words), stdin=_host_keys(old, known_hosts)).stdout.strip()


def authorise(old: Ssh, options: str, public: str) -> None:
    """Let a key in at the old host, for what `options` allow; a second time is no fault."""
    old.run(_AUTHORIZE.format(line=shlex.quote(f"{options} {public}")))


def revoke(old: Ssh, folder: str, run_id: str) -> None:
    """Take a run's key and folder away at the old host."""
    old.run(_REVOKE.format(folder=folder, run=run_id))


def _host_keys(old: Ssh, known_hosts: Path | None) -> str:
    """Return the old host's keys from the town's known_hosts: the node pins the same."""
    words = ["ssh-keygen", "-F", old.address]
    if known_hosts:
        words += ["-f", str(known_hosts)]
    found = run(words, timeout=10, check=False).stdout.splitlines()
    lines = [line for line in found if line and not line.startswith("#")]
    if not lines:
        message = f"{old.host}: no host key of {old.address} in known_hosts"
        raise MigrateError(message)
    return "\n".join(lines) + "\n"
