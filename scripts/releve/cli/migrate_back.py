"""`releve migrate rollback` and `retire`: the way back, and its end."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, say, town_of
from releve.errors import RefusedError
from releve.migrate import plan
from releve.migrate.migration import Migration
from releve.migrate.record import Record
from releve.migrate.retire import refuse_retirement
from releve.migrate.retire import retire as retire_guest
from releve.migrate.rollback import loss, refuse_rollback, roll_back

if TYPE_CHECKING:
    from releve.town import Town


@click.command()
@inventory_option
@click.option("--yes", is_flag=True, help="Do not ask; writes made on the target are given up.")
@click.option("--node-is-dead", metavar="NODE", help="This node has no power; it is not asked.")
@click.argument("guest")
@click.pass_context
def rollback(ctx: click.Context, guest: str, yes: bool, node_is_dead: str | None) -> None:
    """Let a guest work at its source again.

    Example: releve migrate rollback compta
    """
    town = town_of(ctx)
    plan.order(town, [guest])
    if node_is_dead is not None and node_is_dead != town.guests[guest].target:
        message = f"--node-is-dead: {guest} goes to {town.guests[guest].target}"
        raise click.UsageError(message)
    go_back(town, guest, yes=yes, node_is_dead=node_is_dead is not None)


def go_back(town: Town, guest: str, *, yes: bool, node_is_dead: bool = False) -> None:
    """Say what is lost, ask, and roll back; raises RefusedError when the answer is no."""
    record = Record(guest)
    try:
        refuse_rollback(guest, record)
        click.echo(f"{guest}: {loss(town, guest, record)}", err=True)
        if not yes and not click.confirm("Roll back?", err=True):
            message = f"{guest}: not rolled back"
            raise RefusedError(message)
        roll_back(Migration(town, guest, record, say), node_is_dead=node_is_dead)
    finally:
        record.close()


@click.command()
@inventory_option
@click.option("--confirm", metavar="GUEST", help="Its name again, instead of typing it.")
@click.argument("guest")
@click.pass_context
def retire(ctx: click.Context, guest: str, confirm: str | None) -> None:
    """Give up the way back of a guest whose soak is over; nothing is wiped yet.

    Example: releve migrate retire compta
    """
    town = town_of(ctx)
    plan.order(town, [guest])
    record = Record(guest)
    try:
        now = datetime.datetime.now(tz=datetime.UTC)
        refuse_retirement(guest, record, town.migrate.soak_days, now)
        say(f"{guest}: after this there is no way back to {town.guests[guest].source}")
        typed = confirm or click.prompt("Type the guest's name", default="", err=True)
        if typed != guest:
            message = f"{guest}: not retired; {typed!r} is not its name"
            raise RefusedError(message)
        retire_guest(record)
    finally:
        record.close()
    source = town.guests[guest].source
    click.echo(f"{guest}: retired; retire_old_host.py may wipe its disks on {source}")
