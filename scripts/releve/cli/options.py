"""Options and values that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from releve.errors import ExitCode
from releve.town import Town, load_town

if TYPE_CHECKING:
    from releve.drills.evidence import Evidence

EVIDENCE = Path("build/evidence")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
lab_option = click.option(
    "--lab",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path("build/lab"),
    help="In the lab whose state folder this is (alone: build/lab).",
)


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


def say(line: str) -> None:
    """Show progress on stderr; stdout is for the result."""
    click.echo(line, err=True)


def tell_verdict(evidence: Evidence, *, as_json: bool = False) -> ExitCode:
    """Print what evidence came to, each failed check by its name, and return the exit code."""
    failed = [check for check in evidence.checks if not check.passed]
    for check in failed:
        say(f"failed {check.id}: {check.note or check.value}")
    if as_json:
        click.echo(json.dumps({"passed": evidence.passed, "evidence": str(evidence.path)}))
    else:
        click.echo(f"{evidence.path}: {len(evidence.checks)} checks, {len(failed)} failed")
    return ExitCode.DONE if evidence.passed else ExitCode.CHECK_FAILED
