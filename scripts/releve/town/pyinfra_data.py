"""The town as pyinfra sees it: old hosts and how to log in to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.town.model import Town


def pyinfra_hosts(town: Town, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, data) of the hosts of the given kinds; without any, of the old hosts."""
    hosts = []
    for name, host in town.hosts_of(*(kinds or ("old",))).items():
        data: dict[str, Any] = {
            "ssh_hostname": str(host.address),
            "ssh_user": town.ssh.user,
            "ssh_strict_host_key_checking": "yes",
            "hypervisor": host.hypervisor or "libvirt",
        }
        if town.ssh.identity_file:
            data["ssh_key"] = str(town.path(town.ssh.identity_file))
        if town.ssh.known_hosts_file:
            data["ssh_known_hosts_file"] = str(town.path(town.ssh.known_hosts_file))
        hosts.append((name, data))
    return hosts
