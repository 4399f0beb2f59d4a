"""pyinfra's inventory: the hosts that Ansible cannot or must not manage, from the town file.

The town is named by the environment variable RELEVE_INVENTORY (default: inventory/lab).
"""

import os
import sys
from pathlib import Path

from releve.errors import ReleveError
from releve.town import load_town
from releve.town.pyinfra_data import pyinfra_hosts

try:
    old_hosts = pyinfra_hosts(load_town(Path(os.environ.get("RELEVE_INVENTORY", "inventory/lab"))))
except ReleveError as error:
    sys.stderr.write(f"the town file is wrong, nothing was run:\n{error}\n")
    sys.exit(error.exit_code)
