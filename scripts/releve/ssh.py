"""Log in to a host of the town: stock ssh, host keys verified, one connection kept."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.command import run

if TYPE_CHECKING:
    import subprocess

    from releve.town.model import Town

KEPT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Ssh:
    """How to reach one host; `run` executes there, as the user of the town file."""

    host: str
    address: str
    user: str
    options: tuple[str, ...]

    @classmethod
    def to(cls, town: Town, name: str) -> Ssh:
        """Return the way to a host of the town, by its name there."""
        return cls(name, str(town.hosts[name].address), town.ssh.user, cls.options_of(town))

    @staticmethod
    def options_of(town: Town) -> tuple[str, ...]:
        """Return the options of ssh that every log-in of this town takes."""
        options = [
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=5",
        ]
        if town.ssh.known_hosts_file:
            options += ["-o", f"UserKnownHostsFile={town.path(town.ssh.known_hosts_file)}"]
        if town.ssh.identity_file:
            options += ["-i", str(town.path(town.ssh.identity_file)), "-o", "IdentitiesOnly=yes"]
        return tuple(options)

    def kept(self, seconds: int = KEPT_SECONDS) -> Ssh:
        """Return the same way, but with one connection for all log-ins until it idles so long.

        For who asks a host many small questions: a log-in costs more than they do. Where no
        private folder can be had for its socket, nothing is shared.
        """
        folder = Path(tempfile.gettempdir()) / f"releve-{os.getuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return self
        # the same address may be another host for who has other keys: a lab's, say
        words = "\0".join((self.user, self.address, *self.options))
        name = hashlib.sha256(words.encode()).hexdigest()[:16]
        shared = ("ControlMaster=auto", f"ControlPersist={seconds}", f"ControlPath={folder}/{name}")
        alive = ("ServerAliveInterval=5", "ServerAliveCountMax=3")
        more = [word for option in (*shared, *alive) for word in ("-o", option)]
        return dataclasses.replace(self, options=(*self.options, *more))

    def argv(self, *command: str) -> list[str]:
        """Return the words that run `command` (one shell line) on the host."""
        return ["ssh", *self.options, f"{self.user}@{self.address}", *command]

    def alone(self, *command: str) -> list[str]:
        """Return the same over a connection of its own, even where one is kept.

        For what lasts, forwards sockets or is to end together with its client.
        """
        first, *more = self.argv(*command)
        return [first, "-o", "ControlPath=none", *more]

    def run(
        self, command: str, *, timeout: float = 60, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one POSIX shell line on the host; raises CommandError as `command.run` does."""
        return run(self.argv(command), timeout=timeout, check=check, stdin=stdin)
