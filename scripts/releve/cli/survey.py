"""`releve survey`: look at an old host, read-only, and write what it holds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import ExitCode
from releve.migrate.survey_run import survey_host


@click.command()
@inventory_option
@click.argument("host")
@click.option(
    "--from",
    "recorded",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Use what an earlier survey read (build/survey/HOST.json); reach no host.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, host: str, recorded: Path | None, as_json: bool) -> int:
    """Look at an old host, read-only, and write what it holds for the town file.

    Ends with 3 when the town file says something else, with 4 when a guest cannot be moved as it
    is or the host changed meanwhile.

    Example: releve survey old -i inventory/lab
    """
    result = survey_host(town_of(ctx), host, recorded)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=1))
    else:
        for line in (*result.faults, *result.differences):
            click.echo(line)
        found = ", ".join(result.guests) or "no guest"
        click.echo(f"{result.fragment}: {found}; {len(result.differences)} differences", err=True)
    if result.faults:
        return ExitCode.CHECK_FAILED
    return ExitCode.CHANGES if result.differences else ExitCode.DONE
