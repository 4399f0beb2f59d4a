"""`releve drift`: compare the hosts with the town file; change nothing."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import ExitCode
from releve.playbook import Outcome, exists, play

PLAYBOOKS = ("provision", "power")


@click.command()
@inventory_option
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """Compare the hosts with the town file; change nothing. Exit 4 when something differs.

    Example: releve drift -i inventory/lab
    """
    town = town_of(ctx)
    outcomes = []
    for name in filter(exists, PLAYBOOKS):
        click.echo(f"comparing with playbooks/{name}.yml", err=True)
        outcomes.append(play(town, name, check=True))
    count = sum(len(outcome.differences) for outcome in outcomes)
    if as_json:
        click.echo(json.dumps({"differences": count, "runs": [asdict(one) for one in outcomes]}))
    else:
        _print(outcomes, count)
    return ExitCode.CHECK_FAILED if count else ExitCode.DONE


def _print(outcomes: list[Outcome], count: int) -> None:
    for outcome in outcomes:
        for difference in outcome.differences:
            click.echo(f"{difference.host}: {difference.task}")
            for line in difference.lines or ("(not shown: it may hold a secret)",):
                click.echo(f"    {line}")
    tasks = sum(outcome.tasks for outcome in outcomes)
    names = ", ".join(outcome.playbook for outcome in outcomes)
    click.echo(f"{count} differences in {tasks} tasks of {names}")
