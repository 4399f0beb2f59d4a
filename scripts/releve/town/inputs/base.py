"""Inputs of role base: what every managed host gets, from the town file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.town.model import Town

# The mover's worker runs on nodes, under the system's Python; files of stopped guests are mounted.
MOVER_PACKAGES = ["python3-libnbd", "sshfs"]


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables."""
    return {
        name: {
            "base_hostname": name,
            "base_timezone": town.town.timezone,
            **({"base_packages_more": MOVER_PACKAGES} if host.kind == "node" else {}),
        }
        for name, host in town.hosts_of("node", "bay").items()
    }
