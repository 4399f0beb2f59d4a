"""`releve power gate`: is each host guarded, now?"""

from __future__ import annotations

import json

import click

from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import InputError
from releve.power.gate_hosts import ask_all, code_of, document, guarded_by, lines_of


@click.command()
@inventory_option
@json_option
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--ups", metavar="NAME", help="Hosts of this UPS only; left out: of each.")
@click.pass_context
def command(ctx: click.Context, *, hosts: tuple[str, ...], ups: str | None, as_json: bool) -> int:
    """Look, at each host that a UPS guards, whether it really is guarded; change nothing.

    HOST: only these. Ends with 4 when one is not guarded, with 75 when all that answered are and
    one did not answer; a warning (as a UPS that was never measured) is told and is no fault.

    Example: releve power gate
    """
    town = town_of(ctx)
    if ups is not None and ups not in town.ups:
        message = f"{town.file.name}: ups: there is no {ups}; name one of {', '.join(town.ups)}"
        raise InputError(message)
    known, silent = guarded_by(town, [ups] if ups else town.ups)
    if not known:
        message = f"{town.file.name}: ups: the town has no UPS, so nobody is guarded"
        raise InputError(message)
    for host in hosts:
        if host not in known:
            message = (
                f"{town.file.name}: {host} has no gate; those that have one: {', '.join(known)}"
            )
            raise InputError(message)
    chosen = list(dict.fromkeys(hosts))
    answers = ask_all(town, chosen or known)
    if as_json:
        click.echo(json.dumps(document(answers, [] if chosen else silent), indent=1))
    else:
        click.echo("\n".join(lines_of(answers, () if chosen else silent)))
    return code_of(answers)
