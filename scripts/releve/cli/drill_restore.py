"""`releve drill restore`: destroy a guest and bring it back from the vault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from releve.cli.options import (
    EVIDENCE,
    inventory_option,
    json_option,
    lab_option,
    say,
    tell_verdict,
    town_of,
)
from releve.drills.console import LabConsole
from releve.drills.pve_node import PveNode
from releve.drills.restore import RestoreDrill
from releve.errors import RefusedError
from releve.vault.site import SenderHost, guests_to_copy

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@inventory_option
@click.argument("guest")
@lab_option
@json_option
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
        say,
    )
    evidence = drill.run(EVIDENCE)
    return tell_verdict(evidence, as_json=as_json)
