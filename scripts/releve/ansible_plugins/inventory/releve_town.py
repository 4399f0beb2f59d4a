"""Ansible inventory plugin: the town file is the inventory."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

PARSER_ERROR = 4  # ansible-playbook's own exit code for an inventory that cannot be read

DOCUMENTATION = """
name: releve_town
short_description: Hosts, groups and role inputs from a town.yml
description:
  - Builds the whole model of the town before it adds a host, so that a wrong file runs nothing.
  - Hands over only what the town file says, or what follows from several of its entries.
options: {}
"""


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]  # ansible has no types
    """Feeds Ansible from the model."""

    NAME = "releve_town"

    def verify_file(self, path: str) -> bool:
        """Take a file called town.yml, nothing else."""
        return bool(super().verify_file(path)) and Path(path).name == "town.yml"

    def parse(self, inventory, loader, path: str, cache: bool = True) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Load the town whole, then add groups, hosts and variables."""
        super().parse(inventory, loader, path, cache)
        # The package is needed only here; a role run from a plain hosts.ini never loads it.
        from releve.errors import ReleveError  # noqa: PLC0415
        from releve.town.ansible_vars import inventory_of  # noqa: PLC0415
        from releve.town.load import load_town  # noqa: PLC0415

        try:
            groups = inventory_of(load_town(Path(path)))
        except ReleveError as error:
            # An AnsibleError would only make Ansible try its other plugins on this file; the YAML
            # one takes much of what ours refuses, and the play would run on what it made of it.
            Display().error(f"the town file is wrong, nothing was run:\n{error}", wrap_text=False)
            raise SystemExit(PARSER_ERROR) from None
        for group, hosts in groups.items():
            inventory.add_group(group)
            for host, variables in hosts.items():
                inventory.add_host(host, group=group)
                for name, value in variables.items():
                    inventory.set_variable(host, name, value)
