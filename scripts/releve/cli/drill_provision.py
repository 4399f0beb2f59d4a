"""`releve drill provision`: set the hosts up, twice, and see that a change by hand is undone."""

from __future__ import annotations

import click

from releve.cli.options import EVIDENCE, inventory_option, say, tell_verdict, town_of
from releve.drills.provision import run


@click.command()
@inventory_option
@click.pass_context
def command(ctx: click.Context) -> int:
    """Set the hosts up, twice, and see that a change made by hand is found and undone.

    Example: releve drill provision -i inventory/lab
    """
    return tell_verdict(run(town_of(ctx), EVIDENCE, say))
