"""The town as Ansible sees it: groups by kind and duty, and the inputs of the roles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from releve.town.inputs import role_inputs

if TYPE_CHECKING:
    from releve.town.model import Town
    from releve.town.site import Host

Variables = dict[str, Any]
GROUP_OF_KIND = {
    "old": "old_hosts",
    "node": "nodes",
    "bay": "bays",
    "vault": "vaults",
    "client": "clients",
}


def inventory_of(town: Town) -> dict[str, dict[str, Variables]]:
    """Return group -> host -> variables, plain values only.

    Only what the town file says or what follows from it is handed over: a role's defaults live
    in the role. Old hosts are listed, but belong to pyinfra and are in no group that a play uses.
    """
    groups: dict[str, dict[str, Variables]] = {group: {} for group in GROUP_OF_KIND.values()}
    roles = role_inputs(town)
    for name, host in town.hosts.items():
        groups[GROUP_OF_KIND[host.kind]][name] = _reach(town, host) | roles[name]
    groups["nut_primaries"] = {}
    groups["nut_secondaries"] = {}
    primaries = {ups.host for ups in town.ups.values()}
    for name in town.hosts:
        if name in primaries:
            groups["nut_primaries"][name] = {}
        elif any(name in town.secondaries(ups) for ups in town.ups):
            groups["nut_secondaries"][name] = {}
    if town.vault:
        groups["vault_senders"] = {sender: {} for sender in town.vault.senders}
    return {group: hosts for group, hosts in groups.items() if hosts}


def _reach(town: Town, host: Host) -> Variables:
    """Return how Ansible logs in to a host."""
    variables: Variables = {
        "ansible_host": str(host.address),
        "ansible_user": town.ssh.user,
        # Kept connections are found again by address alone: two labs on one machine have the same.
        "ansible_control_path_dir": f"~/.ansible/cp/{_short_hash(str(town.file))}",
    }
    if town.ssh.identity_file:
        variables["ansible_ssh_private_key_file"] = str(town.path(town.ssh.identity_file))
    if town.ssh.known_hosts_file:
        known = town.path(town.ssh.known_hosts_file)
        variables["ansible_ssh_common_args"] = f"-o UserKnownHostsFile={known} -o BatchMode=yes"
    return variables


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
