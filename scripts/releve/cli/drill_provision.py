"""`releve drill provision`: set the hosts up, twice, and see that a change by hand is undone."""

from __future__ import annotations

from pathlib import Path

import click

from releve.cli.options import inventory_option, town_of
from releve.drills.provision import run
from releve.errors import CheckError


@click.command()
@inventory_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """Set the hosts up, twice, and see that a change made by hand is found and undone.

    Example: releve drill provision -i inventory/lab
    """
    evidence = run(town_of(ctx), Path("build/evidence"), lambda line: click.echo(line, err=True))
    failed = [check for check in evidence.checks if not check.passed]
    for check in failed:
        click.echo(f"{check.id}: {check.note or check.value}")
    if failed:
        message = f"{len(failed)} of {len(evidence.checks)} checks failed; see {evidence.path}"
        raise CheckError(message)
    click.echo(f"{len(evidence.checks)} checks passed; {evidence.path}")
