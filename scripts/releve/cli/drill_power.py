"""`releve drill power`: cut the mains and see everybody stop in order and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from releve.cli.options import (
    EVIDENCE,
    inventory_option,
    json_option,
    lab_option,
    say,
    town_of,
)
from releve.drills.mains import LabMains
from releve.drills.power import PowerDrill
from releve.errors import InputError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@inventory_option
@lab_option
@click.option("--ups", "ups_name", help="Which UPS; needed when the town has several.")
@json_option
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

    evidence = PowerDrill(town, LabMains(lab, name), name, say).run(EVIDENCE)
    if as_json:
        click.echo(evidence.path.read_text(encoding="utf-8"))
    else:
        click.echo(f"{evidence.path}: {len(evidence.checks)} checks passed")
