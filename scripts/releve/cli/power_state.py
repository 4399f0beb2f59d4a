"""`releve power state`: how the UPSes and their batteries are."""

from __future__ import annotations

import click

from releve.cli.options import EVIDENCE, inventory_option, json_option, say, tell_verdict, town_of
from releve.drills.batteries import gather
from releve.errors import InputError


@click.command()
@inventory_option
@json_option
@click.option("--ups", metavar="NAME", help="Of this UPS only; left out: of each.")
@click.pass_context
def command(ctx: click.Context, *, ups: str | None, as_json: bool) -> int:
    """Ask each UPS's host how its battery is, for the report; change nothing there.

    What was measured, which tests were made, whether the link lives, when the battery is due, how
    the guests ended at the last stop, whether alarms were seen to arrive. Ends with 4 when one of
    these is bad, or a host does not answer.

    Example: releve power state
    """
    town = town_of(ctx)
    if not town.ups or (ups is not None and ups not in town.ups):
        message = f"{town.file.name}: ups: name one of {', '.join(town.ups) or 'none'}"
        raise InputError(message)
    evidence = gather(town, [ups] if ups else town.ups, EVIDENCE, say)
    return tell_verdict(evidence, as_json=as_json)
