"""`releve power budget`: what a shutdown needs against what the battery carries."""

from __future__ import annotations

import json

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import ExitCode, InputError
from releve.power.budget import as_json as content_of
from releve.power.budget import budget_of, with_live_day
from releve.power.show import gantt, sentences, table
from releve.town.power_settings import settings_of, unguarded


@click.command()
@inventory_option
@json_option
@click.option("--ups", metavar="NAME", help="Of this UPS only; left out: of each.")
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of the UPS's host: by them Proxmox VE stops guests of one order side by side.",
)
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, ups: str | None, cpus: int) -> int:
    """Say whether the battery carries the shutdown, step by step; no host is asked.

    Ends with 4 when it does not hold, each fault with its numbers and its remedy.

    Example: releve -i inventory/example power budget --cpus 8
    """
    town = town_of(ctx)
    names = [ups] if ups else list(town.ups)
    if not names:
        message = f"{town.file.name}: ups: the town has no UPS"
        raise InputError(message)
    settings = {name: with_live_day(settings_of(town, name, cpus)) for name in names}
    budgets = {name: budget_of(one) for name, one in settings.items()}
    if as_json:
        click.echo(json.dumps({name: content_of(one) for name, one in settings.items()}, indent=1))
    else:
        for name, budget in budgets.items():
            for line in (*table(name, settings[name], budget), "", *gantt(budget), ""):
                click.echo(line)
    for name, budget in budgets.items():
        for sentence in sentences(budget):
            say(f"{name}: {sentence}")
    for sentence in () if ups else unguarded(town):
        say(f"note: {sentence}")
    holds = not any(budget.faults for budget in budgets.values())
    return ExitCode.DONE if holds else ExitCode.CHECK_FAILED
