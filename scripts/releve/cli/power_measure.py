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
@click.option("--how", type=click.Choice(["quick", "deep", "plug-pull"]))
@click.option("--yes", is_flag=True, help="Agree to what the first lines say.")
@click.option("--stop-charge", type=click.FloatRange(10, 99), help="End a deep test at so many %.")
@click.option("--no-hold", is_flag=True, help="Let the timer of the time on battery count.")
@click.option("--end", is_flag=True, help="End the deep test that goes on; fetch its record.")
@click.option("--collect", is_flag=True, help="Only fetch the record of one that has ended.")
@click.option("--saw", is_flag=True, help="Say what the output did at the end of the last pull.")
@click.option("--check", "only_check", is_flag=True, help="Only say what would happen, or why not.")
@click.pass_context
def command(
    ctx: click.Context, ups: str, how: How | None, *, yes: bool, stop_charge: float | None,
    no_hold: bool, end: bool, collect: bool, saw: bool, only_check: bool, as_json: bool,
) -> int:  # fmt: skip
    """Measure UPS on its host and keep the record beside the town file.

    It goes on there when this terminal ends; called again, it is followed to its end. A deep test
    drains the battery and needs --yes. Ends with 4 when a real cut was not seen soon enough, 5 when
    it must not begin now, 75 when the host stays away.

    Example: releve power measure ups1 --how quick
    """
    town = town_of(ctx)
    if ups not in town.ups:
        message = f"{town.file.name}: ups: there is no {ups}; name one of {', '.join(town.ups)}"
        raise InputError(message)
    if how is None and not (end or collect or saw):
        message = "power measure: say how: --how quick, deep or plug-pull"
        raise InputError(message)
    if stop_charge is not None and how != "deep":
        message = "power measure: --stop-charge ends a deep test, and no other"
        raise InputError(message)
    asked = Asked(ups, how or "quick", stop_charge, hold=not no_hold)
    remote = Remote(SshHost.of(town, ups), asked, say, click.confirm, _wait)
    if only_check:
        click.echo("\n".join(remote.plan()))
        return ExitCode.DONE
    if end:
        remote.end()
    elif not (collect or saw) and not remote.running():
        for line in remote.plan():
            say(line)
        if how == "deep" and not yes:
            message = f"{ups}: a deep test drains the battery; add --yes to agree to it"
            raise RefusedError(message)
    if saw:
        made = remote.asked_what_was_seen()
    else:
        made = remote.collected() if collect else remote.run(attended=yes)
    file = town.folder / "measured" / f"{ups}.json"
    made.write(file)
    click.echo(made.as_json() if as_json else "\n".join([*verdict(made), f"kept in {file}"]))
    if made.capacity_seconds and town.ups[ups].capacity_seconds:
        say(
            f"{town.file}: ups.{ups}.capacity_seconds: remove it: the record says what was measured"
        )
    return ExitCode.CHECK_FAILED if made.mains_proven is False else ExitCode.DONE


def _wait(words: str) -> None:
    click.prompt(words, default="", show_default=False, prompt_suffix=" ")
