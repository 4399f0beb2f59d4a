"""Set up the lab's vault as a town does: first the senders over ssh, then the vault's console.

`python -m releve.lab.vault_setup` at the workstation's place in the lab. What a person carries
from the senders to the vault's console (the public halves of their keys) is carried here.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from releve.command import run
from releve.errors import ReleveError
from releve.lab.topology import Lab
from releve.ssh import Ssh
from releve.town.inputs import role_inputs

ROOT = Path(__file__).resolve().parents[3]
PLAY_SECONDS = 600
CONSOLE_KEYS = "/run/console.keys"


def set_up(lab: Lab) -> None:
    """Apply `playbooks/vault.yml` to the senders and to the vault; raises CommandError.

    The vault gets an inventory of its own, as at a real console: what it says of the connection
    must not reach the steps that run on the workstation.
    """
    assert lab.town.vault is not None  # noqa: S101  # the lab's town has one
    _play(lab, lab.town.file, "vault_senders")
    senders = [
        {"name": name, "public_key": _public_key(lab, name)} for name in lab.town.vault.senders
    ]
    host = lab.town.vault.host
    words = role_inputs(lab.town)[host] | _console(lab, host) | {"vault_target_senders": senders}
    with tempfile.TemporaryDirectory(prefix="releve-") as folder:
        inventory = Path(folder) / "vault.yml"
        inventory.write_text(json.dumps({"vaults": {"hosts": {host: words}}}))
        try:
            _play(lab, inventory, "vaults")
        finally:
            lab.console(host, ["rm", "-f", CONSOLE_KEYS])


def _console(lab: Lab, host: str) -> dict[str, Any]:
    """Return how Ansible works at a host's console, where ssh over the network lets nobody in.

    An sshd that talks on the console's own wires serves this one connection: many times faster
    than a container's exec for each step, and gone with it.
    """
    lab.console(host, ["sh", "-c", f"umask 077; cat > {CONSOLE_KEYS}"], stdin=lab.login_key)
    options = (
        "HostKey=/etc/ssh/ssh_host_ed25519_key",
        "UsePAM=yes",
        f"AuthorizedKeysFile={CONSOLE_KEYS}",
    )
    sshd = ["/usr/sbin/sshd", "-i", "-f", "/dev/null"]
    sshd += [word for option in options for word in ("-o", option)]
    wires = shlex.join(["podman", "--runtime", "runc", "exec", "-i", lab.part(host), *sshd])
    return {
        "ansible_host": str(lab.town.hosts[host].address),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.identity),
        "ansible_ssh_common_args": (
            f"-o UserKnownHostsFile={lab.known_hosts} -o BatchMode=yes -o ProxyCommand='{wires}'"
        ),
    }


def _public_key(lab: Lab, name: str) -> str:
    line = "cat /etc/releve/vault/id_ed25519.pub"
    return Ssh.to(lab.town, name).run(line).stdout.strip()


def _play(lab: Lab, inventory: Path, group: str) -> None:
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, "-i", str(inventory), "playbooks/vault.yml", "--limit", group]
    click.echo(run(argv, timeout=PLAY_SECONDS, cwd=str(lab.root)).stdout)


def main() -> None:
    """Set the vault up; print an expected error as one line."""
    try:
        set_up(Lab.of(ROOT))
    except ReleveError as error:
        click.echo(f"lab: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
