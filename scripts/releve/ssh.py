"""Log in to a host of the town: stock ssh, host keys verified, one connection kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.command import run

if TYPE_CHECKING:
    import subprocess

    from releve.town.model import Town


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

    def argv(self, *command: str) -> list[str]:
        """Return the words that run `command` (one shell line) on the host."""
        return ["ssh", *self.options, f"{self.user}@{self.address}", *command]

    def run(
        self, command: str, *, timeout: float = 60, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one POSIX shell line on the host; raises CommandError as `command.run` does."""
        return run(self.argv(command), timeout=timeout, check=check, stdin=stdin)
