"""`releve migrate`: move guests off the old host."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from releve.cli.migrate_back import retire, rollback
from releve.cli.migrate_run import cutover, run
from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import ExitCode
from releve.migrate import plan as plans
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
def plan(ctx: click.Context, guests: Sequence[str], as_json: bool) -> int:
    """Say how each guest would move and what stands in the way; nothing is changed."""
    town = town_of(ctx)
    found = [plans.plan(town, name) for name in plans.order(town, guests)]
    if as_json:
        rows = [{**asdict(one), "possible": one.possible} for one in found]
        click.echo(json.dumps(rows, indent=1))
    else:
        for one in found:
            verdict = "can move" if one.possible else "cannot move yet"
            click.echo(f"{one.guest}: {verdict}, {one.source} -> {one.target}, {one.rung}")
            for finding in one.findings:
                mark = "ok  " if finding.passed else "FAIL"
                hint = "" if finding.passed else f"  ({finding.remedy})"
                click.echo(f"  {mark} {finding.id}: {finding.value}{hint}")
    return ExitCode.DONE if all(one.possible for one in found) else ExitCode.REFUSED


@command.command()
@inventory_option
@json_option
@guests_argument
@click.pass_context
def status(ctx: click.Context, guests: Sequence[str], as_json: bool) -> None:
    """Say how far each guest is, from its journal; no host is asked."""
    rows = [status_of(name) for name in plans.order(town_of(ctx), guests)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        failed = f", failed: {', '.join(row['failed'])}" if row["failed"] else ""
        click.echo(f"{row['guest']}: {row['stage']} ({row['last']} at {row['at']}){failed}")


for verb in (run, cutover, rollback, retire):
    command.add_command(verb)
