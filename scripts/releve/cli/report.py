"""`releve report`: write one page of what was proved."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import click

from releve.cli.options import inventory_option, town_of
from releve.drills.report import Language, State, judge, read_records, render
from releve.drills.report.language import LANGUAGES
from releve.drills.report.promises import EVIDENCE
from releve.errors import ExitCode


@click.command()
@inventory_option
@click.option("--lang", type=click.Choice(LANGUAGES), help="Language; else the town's.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/evidence"),
    show_default=True,
    help="Folder of the evidence files.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/report/index.html"),
    show_default=True,
    help="The page to write.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.pass_context
def command(
    ctx: click.Context, lang: str | None, evidence: Path, output: Path, as_json: bool
) -> int:
    """Write one page of what was proved, what failed and what was not tried.

    Ends with 4 when a promise is broken or nothing was tried; the page is written all the same.

    Example: releve report -i inventory/lab --lang en
    """
    town = town_of(ctx)
    language = Language.of(lang or town.town.language, town.town.timezone)
    records = read_records(evidence, EVIDENCE)
    judgement = judge(records)
    page = render(
        town.town.name,
        records,
        judgement,
        language,
        subjects={*town.hosts, *town.guests, *town.ups},
        written=datetime.datetime.now(tz=datetime.UTC),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    states = {one.promise.id: one.state.value for one in judgement.promises}
    if as_json:
        click.echo(json.dumps({"page": str(output), "promises": states}))
    else:
        click.echo(f"{output}: " + ", ".join(f"{name} {state}" for name, state in states.items()))
    bad = judgement.state in {State.FAILED, State.UNTRIED}
    return ExitCode.CHECK_FAILED if bad else ExitCode.DONE
