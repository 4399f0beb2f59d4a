"""`releve migrate plan`: what a move would be, and what stands in its way."""

from __future__ import annotations

import json
import zoneinfo
from typing import TYPE_CHECKING, Any

import click

from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import ExitCode, InputError
from releve.migrate import patience
from releve.migrate.plan import Terms, make_plan
from releve.migrate.plan import frozen as files
from releve.migrate.plan.show import text_of
from releve.migrate.plan.weekend import begin_of
from releve.migrate.plan.weekend import weekend as lay_out
from releve.migrate.plan.weekend_page import page, speaker, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence
    from pathlib import Path

    from releve.town import Town

waive_option = click.option(
    "--waive", multiple=True, metavar="ID=REASON", help="Take the risk of one check; says why."
)
bandwidth_option = click.option(
    "--bandwidth",
    default="",
    metavar="LIMIT",
    help=(
        "What all seeds take of one old host's line: MiB/s (0: all), or by the hours of the week"
        " in the town's time zone, as 'mo-fr 08:00-18:00 20'; left out: the town file's."
    ),
)


@click.command()
@inventory_option
@json_option
@waive_option
@click.option("--window", type=float, help="Hours that the cutover and a way back may take.")
@bandwidth_option
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%H:%M"]),
    help="The window begins then: a run of this plan stops no guest before.",
)
@click.option(
    "--probe", type=float, default=2, show_default=True, help="Seconds to measure; 0: do not."
)
@click.option(
    "--weekend",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Also write who does what when, for the weekend that begins on this day.",
)
@click.option("--checks", "whole", is_flag=True, help="Show the checks that passed, too.")
@click.argument("guests", nargs=-1)
@click.pass_context
def plan(
    ctx: click.Context,
    guests: Sequence[str],
    *,
    as_json: bool,
    waive: Sequence[str],
    window: float | None,
    bandwidth: str,
    at: datetime.datetime | None,
    probe: float,
    weekend: datetime.datetime | None,
    whole: bool,
) -> int:
    """Say how each guest would move and what stands in the way; nothing is changed.

    The plan is frozen in build/migrate/plan; `releve migrate run --plan FILE` holds to it.

    Example: releve migrate plan compta --waive 'copy-fresh=copied by hand on 4 December'
    """
    town = town_of(ctx)
    hours = 24 if window is None and weekend else window
    terms = Terms(
        tuple(waive),
        None if hours is None else hours * 3600,
        bandwidth,
        _opens(town, at, weekend),
    )
    content, found = make_plan(town, guests, terms, probe)
    last = files.newest()
    file = files.write(content)
    if as_json:
        click.echo(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        for line in text_of(content, found, whole=whole):
            click.echo(line)
    _compare(last, content)
    say(f"{file}: sha256 {content[files.SEAL]}")
    fits = weekend is None or _write_weekend(town, content, weekend.date(), file)
    return ExitCode.DONE if content["possible"] and fits else ExitCode.REFUSED


def _opens(
    town: Town, at: datetime.datetime | None, weekend: datetime.datetime | None
) -> datetime.datetime | None:
    """Return when the window begins: as said, else with the weekend, in the town's zone."""
    if at is not None and weekend is not None:
        message = "say --weekend or --at: the window of a weekend begins with it"
        raise click.UsageError(message)
    if at is not None:
        return patience.moment(at)
    return weekend and begin_of(weekend.date(), zoneinfo.ZoneInfo(town.town.timezone))


def _write_weekend(town: Town, content: dict[str, Any], day: datetime.date, plan: Path) -> bool:
    """Write the weekend plan beside the plan; say whether it fits."""
    language = speaker(town.town.language, town.town.timezone)
    laid_out = lay_out(content, town, day, language.zone)
    files_of = {".html": page, ".txt": text}
    for suffix, render in files_of.items():
        file = plan.with_suffix(suffix)
        file.write_text(render(laid_out, content, town, language), encoding="utf-8")
        say(str(file))
    if not laid_out.fits:
        say("the weekend is too short: begin earlier, or move fewer guests")
    return laid_out.fits


def _compare(last: Any, content: dict[str, Any]) -> None:  # noqa: ANN401  # Path or None
    """Say what changed since the last plan, if that one can be read."""
    if last is None:
        return
    try:
        before = files.load(last)
    except InputError as error:
        say(str(error))
        return
    found = files.differences(before, content)
    say(f"since {last.name}: {len(found) or 'no'} changes")
    for line in found:
        say(f"  {line}")
