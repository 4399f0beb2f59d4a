"""`releve power notify`: see that alarms arrive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, json_option, town_of
from releve.errors import ExitCode, InputError
from releve.power.at_host import SshHost, try_alarms
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.town import Town


@click.command()
@inventory_option
@json_option
@click.option("--test", is_flag=True, required=True, help="Send each channel a code of its own.")
@click.option("--ups", "ups_name", help="Whose host; needed when the town has several.")
@click.option("--host", "host_name", help="A client with guests, which sends its own alarms.")
@click.option("--blind", is_flag=True, help="Ask nobody for the codes: sent, not seen to arrive.")
@click.pass_context
def command(
    ctx: click.Context, *, test: bool, ups_name: str | None, host_name: str | None, blind: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Send a test by each channel of a UPS's host, and ask which codes arrived.

    Ends with 4 when one was not sent, or its code was not seen.

    Example: releve power notify --test
    """
    ask: Callable[[str], str] | None = None if blind else lambda words: str(click.prompt(words))
    rows = try_alarms(_host(town_of(ctx), ups_name, host_name), ask)
    if as_json:
        click.echo(json.dumps(rows))
    else:
        words = {
            True: "seen to arrive",
            False: "NOT the code that was sent",
            None: "sent, not seen",
        }
        for row in rows:
            click.echo(f"{row['shown']}: {words[row['seen']] if row['sent'] else 'NOT SENT'}")
        if not rows:
            click.echo("nobody is told: give nut_primary_notify_urls (nut_secondary_notify_urls)")
    good = bool(rows) and all(row["sent"] and row["seen"] is not False for row in rows)
    return ExitCode.DONE if good else ExitCode.CHECK_FAILED


def _host(town: Town, ups: str | None, host: str | None) -> SshHost:
    """Return whose channels are tried; raises InputError for one that has none."""
    if host is None:
        name = ups or (next(iter(town.ups)) if len(town.ups) == 1 else "")
        if name not in town.ups:
            message = f"{town.file.name}: ups: name one with --ups: {', '.join(town.ups) or 'none'}"
            raise InputError(message)
        return SshHost.of(town, name)
    known = dict.fromkeys(one for ups in town.ups for one in _who(town, ups))
    if host not in known:
        message = f"{town.file.name}: {host} sends no alarms; name one of {', '.join(known)}"
        raise InputError(message)
    return SshHost(Ssh.to(town, host).kept(60))


def _who(town: Town, ups: str) -> tuple[str, ...]:
    return (town.ups[ups].host, *town.secondaries(ups))
