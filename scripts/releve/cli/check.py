"""`releve check`: read the town file and say what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import InputError
from releve.migrate.preflight import waive
from releve.town.load import read_source

if TYPE_CHECKING:
    from releve.town import Town


@click.command()
@inventory_option
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Read the town file and say what is wrong with it; nothing is touched.

    Example: releve check -i inventory/lab
    """
    town = town_of(ctx)
    _waivers(town)
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
        say(
            f"note: {town.secrets_file} is not there yet; the lab writes its own, and"
            " docs/how-to/keep-secrets.md says what belongs there"
        )


def _waivers(town: Town) -> None:
    """Raise InputError, one line each, for waivers that cannot be."""
    source = read_source(town.file)
    found = [source.fault(where, text) for where, text in waive.faults(town)]
    if found:
        raise InputError("\n".join(found))
