"""`releve power measure`: find out what a UPS can be believed about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import ExitCode, InputError, RefusedError
from releve.power.at_host import Asked, Remote, SshHost, verdict

if TYPE_CHECKING:
    from releve.power.measurement import How


@click.command()
@inventory_option
@json_option
@click.argument("ups")
@click.option("--how", type=click.Choice(["quick", "deep", "plug-pull"]), required=True)
@click.option("--yes", is_flag=True, help="Agree to what the first lines say.")
@click.option("--stop-charge", type=click.FloatRange(10, 99), help="End a deep test at so many %.")
@click.option("--no-hold", is_flag=True, help="Let the timer of the time on battery count.")
@click.option("--collect", is_flag=True, help="Only fetch the record of one that has ended.")
@click.pass_context
def command(
    ctx: click.Context, ups: str, how: How, *, yes: bool, stop_charge: float | None,
    no_hold: bool, collect: bool, as_json: bool,
) -> int:  # fmt: skip
    """Measure UPS on its host and keep the record beside the town file.

    It goes on there when this terminal ends; called again, it is followed to its end. A deep test
    drains the battery and needs --yes.

    Example: releve power measure ups1 --how quick
    """
    town = town_of(ctx)
    if ups not in town.ups:
        message = f"{town.file.name}: ups: there is no {ups}; name one of {', '.join(town.ups)}"
        raise InputError(message)
    asked = Asked(ups, how, stop_charge, hold=not no_hold)
    remote = Remote(SshHost.of(town, ups), asked, say, click.confirm, _wait)
    if not collect and not remote.running():
        for line in remote.plan():
            say(line)
        if how == "deep" and not yes:
            message = f"{ups}: a deep test drains the battery; add --yes to agree to it"
            raise RefusedError(message)
    made = remote.collected() if collect else remote.run(attended=yes)
    file = town.folder / "measured" / f"{ups}.json"
    made.write(file)
    click.echo(made.as_json() if as_json else "\n".join([*verdict(made), f"kept in {file}"]))
    return ExitCode.CHECK_FAILED if made.mains_proven is False else ExitCode.DONE


def _wait(words: str) -> None:
    click.prompt(words, default="", show_default=False, prompt_suffix=" ")
