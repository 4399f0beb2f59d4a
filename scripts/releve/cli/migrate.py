"""`releve migrate`: move guests off the old host."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import ExitCode, InputError, RefusedError
from releve.migrate import plan as plans
from releve.migrate.record import Record
from releve.migrate.rollback import roll_back, seconds_at_risk
from releve.migrate.runs import run_guests
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
@click.option("--all", "every", is_flag=True, help="Move every guest of the town.")
@click.option("--bandwidth", type=float, default=0, help="MiB/s of the seed at most; 0: all.")
@click.option("--hold", is_flag=True, help="Stop before the target starts; run again to go on.")
@guests_argument
@click.pass_context
def run(
    ctx: click.Context, guests: Sequence[str], every: bool, bandwidth: float, hold: bool
) -> None:
    """Move guests; an interrupted move goes on where it was.

    Example: releve migrate run compta dossiers
    """
    if bool(guests) == every:
        message = "name the guests to move, or say --all"
        raise click.UsageError(message)
    evidence = run_guests(town_of(ctx), guests, say, bandwidth, hold=hold)
    click.echo(f"{evidence.path}: {len(evidence.checks)} checks passed")


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


@command.command()
@inventory_option
@click.option("--yes", is_flag=True, help="Do not ask; writes made on the target are given up.")
@click.argument("guest")
@click.pass_context
def rollback(ctx: click.Context, guest: str, yes: bool) -> None:
    """Let a guest work at its source again."""
    town = town_of(ctx)
    plans.order(town, [guest])
    record = Record(guest)
    try:
        if record.stage in {"none", "rolled-back"}:
            message = f"{guest}: no migration is under way; there is nothing to roll back"
            raise InputError(message)
        lost = seconds_at_risk(record)
        what = (
            "no write is lost: it never worked on the target"
            if lost is None
            else f"what it wrote in {lost:.0f} s on the target will be lost"
        )
        click.echo(f"{guest}: {what}", err=True)
        if not yes and not click.confirm("Roll back?", err=True):
            message = f"{guest}: not rolled back"
            raise RefusedError(message)
        roll_back(town, guest, record, say)
    finally:
        record.close()
