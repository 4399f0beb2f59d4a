"""`releve drill power`: prove, at the level that is chosen, that a power cut loses nothing."""

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
from releve.drills import power_run
from releve.drills.at_the_plug import LabPerson, Terminal
from releve.drills.chart_file import write_chart
from releve.drills.mains import LabMains
from releve.drills.plug_pull import write_record
from releve.drills.power_levels import LEVELS, Level, level_of
from releve.drills.power_times import read_figures, told
from releve.errors import InputError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from releve.drills.evidence import Evidence
    from releve.drills.power_guests import Stop
    from releve.power.measurement import Measurement
    from releve.town.model import Town

HELP = "; ".join(f"{one.number} {one.title} (stops {one.stops})" for one in LEVELS)


@click.command()
@inventory_option
@lab_option
@click.option("--ups", "ups_name", help="Which UPS; needed when the town has several.")
@click.option("--level", "number", type=int, help=f"{HELP}. Default: 3 with --lab, else 0.")
@click.option("--yes", is_flag=True, help="Level 2: stop the guests without asking.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    lab: Path | None,
    ups_name: str | None,
    number: int | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Prove that a power cut loses nothing: on paper, in the shadow, with guests, or whole.

    Example: releve drill power --lab
    """
    town = town_of(ctx)
    name = ups_name or (next(iter(town.ups)) if len(town.ups) == 1 else "")
    if name not in town.ups:
        message = f"{town.file.name}: ups: name one with --ups: {', '.join(town.ups) or 'none'}"
        raise InputError(message)
    level = level_of(number, in_lab=lab is not None)
    say(f"level {level.number}, {level.title}: stops {level.stops}; proves that {level.proves}")
    try:
        evidence, record = _run(town, name, level, lab, yes=yes or lab is not None)
    finally:
        write_chart(town, level.evidence, EVIDENCE)
        for line in told(read_figures(EVIDENCE / f"{level.evidence}.json")):
            say(line)
    if record is not None:
        file = write_record(record, EVIDENCE.parent / power_run.MEASURED)
        say(f"measured: {file}")
    return tell_verdict(evidence, as_json=as_json)


def _run(
    town: Town, ups: str, level: Level, lab: Path | None, *, yes: bool
) -> tuple[Evidence, Measurement | None]:
    if level.number == 0:
        return power_run.run_paper(town, ups, level, EVIDENCE), None
    if level.number == 1:
        return power_run.run_shadow(town, ups, level, EVIDENCE, say), None
    if level.number == 2:  # noqa: PLR2004  # the levels are their numbers

        def agree(stops: list[Stop]) -> None:
            names = ", ".join(f"{one.name} (up to {one.seconds} s)" for one in stops)
            if not yes and not click.confirm(f"Stop and start again {names}?", err=True):
                message = "nothing was stopped"
                raise RefusedError(message)

        return power_run.run_guests(town, ups, level, EVIDENCE, say, agree=agree), None
    if level.number == 3:  # noqa: PLR2004  # as above
        assert lab is not None  # noqa: S101  # level_of refused it otherwise
        return power_run.run_whole(town, ups, lab, EVIDENCE, say)
    person = LabPerson(LabMains(lab, ups), say) if lab else Terminal(say)
    return power_run.run_plug(town, ups, level, EVIDENCE, person)
