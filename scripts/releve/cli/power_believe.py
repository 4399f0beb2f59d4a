"""`releve power believe`: what a UPS can be believed about, and what would stop the site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from releve.cli.options import json_option
from releve.power.believe import Asked, code_of, judge, lines_of, source_of
from releve.power.ladder import DERATE


@click.command()
@click.argument("target", metavar="FILE|UPS@HOST")
@click.option("--need", type=float, help="Seconds from the decision to the last halt, with margin.")
@click.option(
    "--derate",
    type=float,
    default=DERATE,
    show_default=True,
    help="Share of the capacity and of the runtime that is counted on.",
)
@click.option("--capacity", type=float, help="Seconds it was measured to last at the site's load.")
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    help="The record of its measurement (inventory/TOWN/measured/UPS.json).",
)
@click.option("--accept-lb-only", is_flag=True, help="Its own low battery is enough.")
@click.option(
    "--runtime-unit",
    type=click.Choice(["seconds", "minutes"]),
    default="seconds",
    show_default=True,
    help="What the device counts its runtime in.",
)
@json_option
def command(target: str, as_json: bool, **chosen: Any) -> int:  # noqa: ANN401  # Asked's own
    """Say what a UPS can be believed about, and what would stop the site.

    FILE is the output of upsc, or a .dev file of NUT's device dumps library; UPS@HOST is asked.
    Ends with 4 when the device can guard nothing as it is.

    Example: releve power believe dump.dev --need 600 --capacity 1800
    """
    report = judge(source_of(target), Asked(**chosen))
    click.echo(json.dumps(report, indent=1) if as_json else "\n".join(lines_of(report)))
    return code_of(report)
