"""`releve drill restore`: destroy a guest and bring it back from the vault."""

from __future__ import annotations

import json
from pathlib import Path

import click

from releve.cli.options import inventory_option, town_of
from releve.drills.console import LabConsole
from releve.drills.pve_node import PveNode
from releve.drills.restore import RestoreDrill
from releve.errors import ExitCode, RefusedError
from releve.vault.site import SenderHost, guests_to_copy

EVIDENCE = Path("build/evidence")


@click.command()
@inventory_option
@click.argument("guest")
@click.option(
    "--lab",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path("build/lab"),
    help="In the lab whose state folder this is (alone: build/lab).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(ctx: click.Context, guest: str, lab: Path | None, as_json: bool) -> int:
    """Destroy GUEST in the lab, restore it through a grant, and compare what came back.

    Example: releve drill restore compta --lab
    """
    town = town_of(ctx)
    guests_to_copy(town, [guest])
    if lab is None:
        message = f"this drill destroys {guest}: it is for the lab only, where --lab names it"
        raise RefusedError(message)
    assert town.vault is not None  # noqa: S101  # guests_to_copy refused a town without one
    drill = RestoreDrill(
        town,
        guest,
        PveNode.of(town, guest),
        SenderHost.of(town, town.guests[guest].target),
        LabConsole.of(lab, town.vault.host),
        lambda line: click.echo(line, err=True),
    )
    evidence = drill.run(EVIDENCE)
    failed = [check for check in evidence.checks if not check.passed]
    for check in failed:
        click.echo(f"failed {check.id}: {check.note}", err=True)
    if as_json:
        click.echo(json.dumps({"passed": evidence.passed, "evidence": str(evidence.path)}))
    else:
        click.echo(f"{evidence.path}: {len(evidence.checks)} checks, {len(failed)} failed")
    return ExitCode.DONE if evidence.passed else ExitCode.CHECK_FAILED
