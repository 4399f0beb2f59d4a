"""`releve survey`: look at an old host, read-only, and write what it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import ExitCode, InputError
from releve.migrate.recorded import files_of
from releve.migrate.sources.files import head_of, kind_of, read_or_fault
from releve.migrate.survey_run import survey_host

if TYPE_CHECKING:
    from releve.migrate.sources.reading import FileReading


@click.command()
@inventory_option
@click.argument("host", required=False)
@click.option(
    "--from",
    "recorded",
    type=click.Path(path_type=Path, exists=True),
    help="Use what an earlier survey read (build/survey/HOST.json), or a folder of listings or"
    " guests' files; reach no host.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, host: str | None, recorded: Path | None, as_json: bool) -> int:
    """Look at an old host, read-only, and write what it holds for the town file.

    Ends with 3 when the town file says something else, with 4 when a guest cannot be moved as it
    is or the host changed meanwhile. Without HOST, --from says what any folder of guests' files
    (libvirt, Proxmox VE, VMware, networks) holds and what blocks each.

    Example: releve survey old -i inventory/lab
    """
    if host is None:
        return _survey_files(recorded, as_json=as_json)
    result = survey_host(town_of(ctx), host, recorded)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=1))
    else:
        for line in (*result.faults, *result.differences, *result.containers):
            click.echo(line)
        found = ", ".join(result.guests) or "no guest"
        click.echo(f"{result.fragment}: {found}; {len(result.differences)} differences", err=True)
    if result.faults:
        return ExitCode.CHECK_FAILED
    return ExitCode.CHANGES if result.differences else ExitCode.DONE


def _survey_files(folder: Path | None, *, as_json: bool) -> int:
    """Say what the files of a folder hold; those of no kind that a survey reads are left out."""
    if folder is None or not folder.is_dir():
        message = "survey: name a host of the town file, or give --from FOLDER of guests' files"
        raise InputError(message)
    readings = {}
    for file in files_of(folder):
        kind = kind_of(file.name, head_of(file))
        if kind:
            readings[str(file.relative_to(folder))] = read_or_fault(file, kind)
    if as_json:
        click.echo(json.dumps({name: one.as_dict() for name, one in readings.items()}, indent=1))
    else:
        for name, one in readings.items():
            click.echo("\n".join(_lines(name, one)))
    blocked = sum(not one.mapped for one in readings.values())
    click.echo(f"{len(readings)} files read, {blocked} of them blocked", err=True)
    return ExitCode.CHECK_FAILED if blocked else ExitCode.DONE


def _lines(name: str, one: FileReading) -> list[str]:
    guests = ", ".join(guest.name for guest in one.guests)
    head = f"{name}: {one.kind}{f': {guests}' if guests else ''}"
    if one.mapped:
        return [f"{head}: mapped"]
    return [head, *(f"  {blocker.id}: {blocker.text}" for blocker in one.blockers)]
