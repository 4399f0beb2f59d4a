"""`releve drill`: try a promise and keep the evidence."""

from __future__ import annotations

import click

from releve.cli.lazy import LazyGroup

# drill -> (module in this package, one line of help)
DRILLS = {
    "provision": (
        "drill_provision",
        "Set the hosts up twice; find and undo a change by hand.",
    ),
    "power": ("drill_power", "Cut the mains; everybody stops in order and comes back."),
    "restore": ("drill_restore", "Destroy a guest and bring it back from the vault."),
}


@click.command(cls=LazyGroup, table=DRILLS)
def command() -> None:
    """Try a promise and keep the evidence in build/evidence.

    Example: releve drill power --lab
    """
