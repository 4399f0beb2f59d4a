"""`releve power lint`: judge a directory of NUT files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from releve.cli.options import json_option
from releve.power.lint.verb import exit_code, lines, lint

if TYPE_CHECKING:
    from releve.errors import ExitCode


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--facts", type=click.Path(path_type=Path), help="What is known of its host, a JSON file."
)
@click.option(
    "--server", type=click.Path(path_type=Path), help="The directory of the upsd that it names."
)
@click.option("--nut", metavar="RELEASE", help="The NUT that reads it; 2.8.1 unless said.")
@json_option
def command(
    folder: Path, facts: Path | None, server: Path | None, nut: str | None, as_json: bool
) -> ExitCode:
    """Read NUT's files in DIR as NUT does, and say what would go wrong in a power cut.

    DIR is a copy of /etc/nut; one of /etc or of / is judged with its drop-ins of systemd.

    Exit 4 when it is refused. docs/reference/power-findings.md explains each finding.

    Example: releve power lint /etc/nut
    """
    report = lint(folder, facts=facts, server=server, release=nut)
    if as_json:
        click.echo(json.dumps(report.document()))
    else:
        for line in lines(report, folder):
            click.echo(line)
    return exit_code(report)
