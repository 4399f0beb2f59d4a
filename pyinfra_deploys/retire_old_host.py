"""Wipe what moved guests left at an old host, and keep a record of each disk.

Only disks that this migration's journals list, only when every guest of the host is retired, and
only with the host's name typed: `--data confirm=NAME`. The records, one JSON line a disk with
serial number, method and date, are added to `build/migrate/NAME.wiped.jsonl`.
"""

import os
import sys
from pathlib import Path

from pyinfra.api.operation import OperationMeta
from pyinfra.context import host
from pyinfra.operations import python, server

from releve.errors import ReleveError
from releve.migrate.record import FOLDER
from releve.migrate.retire_host import Leftover, keep, leftovers, wipe_line, wiping
from releve.town import load_town

town = load_town(Path(os.environ.get("RELEVE_INVENTORY", "inventory/lab")))
records = FOLDER / f"{host.name}.wiped.jsonl"

try:
    found = leftovers(town, host.name, str(host.data.get("confirm", "")))
except ReleveError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
for leftover in found:
    wiped = server.shell(
        name=f"Wipe {leftover.file} of {leftover.guest}", commands=[wipe_line(leftover)]
    )

    def note(leftover: Leftover = leftover, wiped: OperationMeta = wiped) -> None:
        """Keep the record of one disk, once it is wiped."""
        record = wiping(host.name, leftover, wiped.stdout.splitlines())
        if record is not None:
            keep(records, record)

    python.call(name=f"Record the wiping of {leftover.file}", function=note)
