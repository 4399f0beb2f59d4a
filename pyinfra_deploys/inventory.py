"""pyinfra's inventory: the hosts that Ansible cannot or must not manage, from the town file.

The town is named by the environment variable RELEVE_INVENTORY (default: inventory/lab).
"""

import os
from pathlib import Path

from releve.town import load_town
from releve.town.pyinfra_data import pyinfra_hosts

old_hosts = pyinfra_hosts(load_town(Path(os.environ.get("RELEVE_INVENTORY", "inventory/lab"))))
