"""`releve migrate prepare`: make a Linux guest ready for its new machine, while it works."""

from __future__ import annotations

import click

from releve.cli.options import inventory_option, town_of
from releve.errors import InputError
from releve.migrate.plan import order
from releve.migrate.prepare import pasted
from releve.migrate.prepare import prepare as prepare_guest


@click.command()
@inventory_option
@click.option("--check", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--undo", is_flag=True, help="Give back every file as it was, byte for byte.")
@click.option(
    "--print", "paste", is_flag=True, help="Print what to paste at the console of the guest."
)
@click.argument("guest")
@click.pass_context
def prepare(ctx: click.Context, guest: str, *, check: bool, undo: bool, paste: bool) -> int | None:
    """Fix card names by MAC, fstab by UUID and virtio in the initramfs, inside a Linux guest.

    It runs one script by ssh, at the guest's first address as guests.NAME.login. A second run
    changes nothing.

    Example: releve migrate prepare compta --check
    """
    if check and undo:
        message = "say --check or --undo"
        raise click.UsageError(message)
    words = ["--check"] if check else ["--undo"] if undo else []
    if paste:
        click.echo(pasted(words), nl=False)
        return None
    town = town_of(ctx)
    order(town, [guest])
    if town.guests[guest].os.startswith("w"):
        message = f"{guest}: it is a Windows; what to do in it is in docs/how-to/prepare-a-guest.md"
        raise InputError(message)
    found = prepare_guest(town, guest, words)
    for line in found.lines:
        click.echo(line)
    return found.code
