"""`releve drill power`: cut the mains and see everybody stop in order and come back."""

from __future__ import annotations

from pathlib import Path

import click

from releve.cli.options import inventory_option, town_of
from releve.drills.mains import LabMains
from releve.drills.power import PowerDrill
from releve.errors import InputError, RefusedError

EVIDENCE = Path("build/evidence")


@click.command()
@inventory_option
@click.option(
    "--lab",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path("build/lab"),
    help="In the lab whose state folder this is (alone: build/lab).",
)
@click.option("--ups", "ups_name", help="Which UPS; needed when the town has several.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(ctx: click.Context, lab: Path | None, ups_name: str | None, as_json: bool) -> None:
    """Cut the mains of a UPS; judge how everybody stops and comes back.

    Example: releve drill power --lab
    """
    town = town_of(ctx)
    name = ups_name or (next(iter(town.ups)) if len(town.ups) == 1 else "")
    if name not in town.ups:
        message = f"{town.file.name}: ups: name one with --ups: {', '.join(town.ups) or 'none'}"
        raise InputError(message)
    if lab is None:
        message = "drill power cuts the mains, and can do so only in the lab: add --lab"
        raise RefusedError(message)

    def tell(line: str) -> None:
        click.echo(line, err=True)

    evidence = PowerDrill(town, LabMains(lab, name), name, tell).run(EVIDENCE)
    if as_json:
        click.echo(evidence.path.read_text(encoding="utf-8"))
    else:
        click.echo(f"{evidence.path}: {len(evidence.checks)} checks passed")
