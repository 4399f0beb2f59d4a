"""`releve check`: read the town file and say what is wrong with it."""

from __future__ import annotations

import json

import click

from releve.cli.options import inventory_option, json_option, town_of


@click.command()
@inventory_option
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Read the town file and say what is wrong with it; nothing is touched.

    Example: releve check -i inventory/lab
    """
    town = town_of(ctx)
    secrets = town.secrets_file.exists()
    if as_json:
        counts = {
            "file": str(town.file),
            "hosts": len(town.hosts),
            "guests": len(town.guests),
            "secrets": secrets,
        }
        click.echo(json.dumps(counts))
        return
    click.echo(
        f"{town.file.name}: {len(town.hosts)} hosts, {len(town.guests)} guests, no fault found"
    )
    if not secrets:
        click.echo(f"note: {town.secrets_file} is not there yet; the lab writes its own", err=True)
