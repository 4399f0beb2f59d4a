"""Options and values that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from releve.town import Town, load_town


def inventory_option(command: Any) -> Any:  # noqa: ANN401  # click decorators take and give any
    """Let `-i` stand after the verb too, as in `releve check -i inventory/lab`."""

    def keep(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.obj = value

    return click.option(
        "-i",
        "--inventory",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=keep,
        help="Folder of the town, or its town.yml.",
    )(command)


def town_of(ctx: click.Context) -> Town:
    """Return the town that the command line names."""
    return load_town(ctx.obj)
