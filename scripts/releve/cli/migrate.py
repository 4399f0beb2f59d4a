"""`releve migrate`: move guests off the old host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from releve.cli.migrate_back import retire, rollback
from releve.cli.migrate_plan import plan
from releve.cli.migrate_prepare import prepare
from releve.cli.migrate_run import cutover, run
from releve.cli.options import inventory_option, json_option, town_of
from releve.migrate.plan import order
from releve.migrate.status import status as status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

guests_argument = click.argument("guests", nargs=-1)


@click.group()
def command() -> None:
    """Move guests off the old host while they work.

    Example: releve migrate plan -i inventory/lab
    """


@command.command()
@inventory_option
@json_option
@guests_argument
@click.pass_context
def status(ctx: click.Context, guests: Sequence[str], as_json: bool) -> None:
    """Say how far each guest is, from its journal; no host is asked."""
    rows = [status_of(name) for name in order(town_of(ctx), guests)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        failed = f", failed: {', '.join(row['failed'])}" if row["failed"] else ""
        click.echo(f"{row['guest']}: {row['stage']} ({row['last']} at {row['at']}){failed}")


for verb in (plan, prepare, run, cutover, rollback, retire):
    command.add_command(verb)
