"""`releve power stops`: keep what the stops of hosts and guests took."""

from __future__ import annotations

import json

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import CheckError, ExitCode, InputError, LaterError
from releve.power.at_host import SshHost
from releve.ssh import Ssh
from releve.town.stops import Stops


@click.command()
@inventory_option
@json_option
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.pass_context
def command(ctx: click.Context, hosts: tuple[str, ...], *, as_json: bool) -> int:
    """Ask hosts what their last clean stops took, and keep it beside the town file.

    Left out: each node that has a UPS or follows one. `releve power budget` and the role take the
    expected times from it, never the worst ones. Ends with 4 when a host could not be asked.

    Example: releve power stops pve1
    """
    town = town_of(ctx)
    guarded = {name for ups in town.ups.values() for name in (ups.host, *ups.clients)}
    nodes = [name for name in town.hosts_of("node") if name in guarded]
    if unknown := [name for name in hosts if name not in nodes]:
        wanted = ", ".join(nodes) or "none"
        message = f"{unknown[0]}: no node with a UPS in {town.file.name}; there are: {wanted}"
        raise InputError(message)
    told, failed = {}, False
    for name in hosts or nodes:
        try:
            said = SshHost(Ssh.to(town, name)).call("guest-stops", "--measured")
        except (CheckError, LaterError) as error:
            say(str(error))
            failed = True
            continue
        known = Stops.parse(said, f"{name}: what it says").after(Stops.read(town.folder, name))
        file = known.write(town.folder, name)
        told[name] = {"guests": known.guests, "host": known.host}
        if not as_json:
            click.echo(f"{name}: {len(known.guests)} guests, kept in {file}")
    if as_json:
        click.echo(json.dumps(told))
    return ExitCode.CHECK_FAILED if failed else ExitCode.DONE
