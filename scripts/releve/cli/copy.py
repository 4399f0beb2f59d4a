"""`releve copy`: bring copies of guests to the vault, and say which were brought."""

from __future__ import annotations

import json
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
from releve.drills.copies import copy_guests
from releve.vault.site import SenderHost, guests_to_copy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@click.group()
def command() -> None:
    """Copy guests to the vault: run, list.

    Example: releve copy list -i inventory/lab
    """


@command.command()
@inventory_option
@json_option
@click.argument("guests", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All guests (also when none is named).")
@lab_option
@click.pass_context
def run(
    ctx: click.Context, guests: Sequence[str], everyone: bool, lab: Path | None, as_json: bool
) -> int:
    """Copy GUESTS, or all, while they work; then try what the site must not be able to do."""
    town = town_of(ctx)
    names = guests_to_copy(town, () if everyone else guests)
    assert town.vault is not None  # noqa: S101  # guests_to_copy refused a town without one
    console = LabConsole.of(lab, town.vault.host) if lab else None
    evidence = copy_guests(town, names, EVIDENCE, say, console)
    return tell_verdict(evidence, as_json=as_json)


@command.command("list")
@inventory_option
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Say which copies were brought, as far as the site may know; the vault's console knows all."""
    town = town_of(ctx)
    nodes = {town.guests[name].target for name in guests_to_copy(town, ())}
    rows = [
        {"node": node, **copy}
        for node in sorted(nodes)
        for copies in SenderHost.of(town, node).copies().values()
        for copy in copies
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        roots = ", ".join(f"{disk['name']} {disk['root'][:16]}" for disk in row["disks"])
        click.echo(
            f"{row['guest']:16} copy {row['copy']:>4}  {row['received']}  "
            f"locked until {row['lock_until']}  {roots}"
        )
