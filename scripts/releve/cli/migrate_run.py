"""`releve migrate run` and `cutover`: move guests, and say when they may be stopped."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from releve.cli.migrate_back import go_back
from releve.cli.migrate_plan import bandwidth_option, waive_option
from releve.cli.options import inventory_option, json_option, say, town_of
from releve.errors import ExitCode, InputError, LaterError, RefusedError
from releve.migrate import patience, plan
from releve.migrate.display import Display, JsonLines, summary
from releve.migrate.errors import BusyError
from releve.migrate.patience import DOWNTIME_SECONDS, Patience
from releve.migrate.plan import frozen
from releve.migrate.plan.terms import Window
from releve.migrate.plan.terms import hold as hold_to
from releve.migrate.record import FOLDER, Record
from releve.migrate.runs import Orders, Result, run_guests
from releve.migrate.status import status

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Sequence

    from releve.town import Town

FOLLOW_SECONDS = 1.0
READY = {"seeded", "cutover", "verified", "fenced"}
downtime_option = click.option(
    "--downtime",
    type=float,
    default=DOWNTIME_SECONDS,
    show_default=True,
    help="Seconds that the last delta may take; the guest's own stop and start come on top.",
)
gate_option = click.option(
    "--on-shut-gate",
    type=click.Choice(["ask", "back", "stay"]),
    help="When a moved guest does not serve as before: ask (at a terminal), roll back, or stay.",
)
at_option = click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%H:%M"]),
    help="Stop no guest before; without a day, the next time the clock shows it.",
)


@click.command()
@inventory_option
@click.option("--all", "every", is_flag=True, help="Move every guest of the town.")
@bandwidth_option
@click.option("--parallel", type=click.IntRange(min=0), default=0, help="Guests copied at once.")
@click.option("--wait", is_flag=True, help="Copy on until `releve migrate cutover GUEST --now`.")
@click.option("--hold", is_flag=True, help="Stop before the target starts; run again to go on.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Hold to this frozen plan, its bandwidth and its window: refuse when what it rests on"
    " has changed.",
)
@waive_option
@downtime_option
@at_option
@gate_option
@json_option
@click.argument("guests", nargs=-1)
@click.pass_context
def run(
    ctx: click.Context,
    *,
    guests: Sequence[str],
    every: bool,
    bandwidth: str,
    parallel: int,
    wait: bool,
    hold: bool,
    plan_file: Path | None,
    waive: Sequence[str],
    downtime: float,
    at: datetime.datetime | None,
    on_shut_gate: str | None,
    as_json: bool,
) -> int:
    """Move guests; an interrupted move goes on where it was.

    Each guest is planned first, or held to a frozen plan: a refused one is not touched.

    Example: releve migrate run compta dossiers
    """
    if bool(guests) == every:
        message = "name the guests to move, or say --all"
        raise click.UsageError(message)
    held, window, begins = None, None, moment(at)
    if plan_file:
        held = frozen.load(plan_file)
        bandwidth, window = hold_to(held, patience.now(), bandwidth, begins)
    told = Patience(downtime, wait, begins, window)
    orders = Orders(bandwidth, hold, parallel, told, hearer(as_json), waive=tuple(waive), plan=held)
    return finish(town_of(ctx), guests, orders, on_shut_gate, as_json=as_json)


def finish(
    town: Town, guests: Sequence[str], orders: Orders, on_shut_gate: str | None, *, as_json: bool
) -> int:
    """Run, say how it came out, and let a person choose where a gate stayed shut."""
    evidence, results = run_guests(town, guests, say, orders)
    for line in summary(results):
        click.echo(line, err=as_json)
    for result in results:
        if result.shut_gate:
            _choose(town, result, on_shut_gate)
    if not any(result.error for result in results):
        click.echo(f"{evidence.path}: {len(evidence.checks)} checks passed", err=as_json)
    return exit_code(results)


def exit_code(results: list[Result]) -> ExitCode:
    """Return what all failures have in common: 0 without one, 1 when they differ."""
    codes = {result.error.exit_code for result in results if result.error}
    if not codes:
        return ExitCode.DONE
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED


def _choose(town: Town, result: Result, on_shut_gate: str | None) -> None:
    choice = on_shut_gate or ("ask" if sys.stdin.isatty() else "stay")
    if choice == "stay":
        return
    try:
        go_back(town, result.guest, yes=choice == "back")
    except RefusedError as error:
        say(str(error))


def hearer(as_json: bool) -> Callable[[str, dict[str, object]], None]:
    """Return who is told the events of a run."""
    return JsonLines(click.echo).hear if as_json else Display(say).hear


def moment(at: datetime.datetime | None) -> datetime.datetime | None:
    """Return a time of the workstation's clock as a moment; a bare hour is the next such one."""
    return None if at is None else patience.moment(at)


@click.command()
@inventory_option
@click.option("--now", is_flag=True, help="Do not ask.")
@downtime_option
@gate_option
@json_option
@click.argument("guest")
@click.pass_context
def cutover(
    ctx: click.Context, *, guest: str, now: bool, downtime: float, on_shut_gate: str | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Stop a guest that was copied, and start it on its node.

    Example: releve migrate cutover compta --now
    """
    town = town_of(ctx)
    plan.order(town, [guest])
    row = status(guest)
    if row["stage"] not in READY:
        message = f"{guest}: {row['stage']}, not ready to stop; `releve migrate run {guest}` first"
        raise InputError(message)
    _in_window(guest, row["terms"])
    say(f"{guest}: {patience.told_forecast(row)}")
    if not now and not click.confirm(f"Stop {guest} now?", err=True):
        message = f"{guest}: not stopped"
        raise RefusedError(message)
    try:
        Record(guest).close()
    except BusyError:
        return follow(guest)
    orders = Orders(patience=Patience(downtime), hear=hearer(as_json))
    return finish(town, [guest], orders, on_shut_gate, as_json=as_json)


def _in_window(guest: str, terms: dict[str, Any] | None) -> None:
    """Raise RefusedError outside of the window of the plan that the run was begun with."""
    window, now = Window.of(terms or {}), patience.now()
    if window is not None and (now < window.opens or window.closed(now)):
        message = (
            f"{guest}: its plan lets it be stopped from {window}; `releve migrate run {guest}`"
            " without --plan goes on without that window"
        )
        raise RefusedError(message)


def follow(guest: str) -> int:
    """Tell the run that waits, and return when its guest works on its node, or the run ended."""
    patience.tell(FOLDER / guest)
    say(f"{guest}: told the run that waits")
    while (row := status(guest))["stage"] not in {"moved", "audited", "retired"}:
        time.sleep(FOLLOW_SECONDS)
        try:
            Record(guest).close()
        except BusyError:
            continue
        row = status(guest)
        if row["stage"] not in {"moved", "audited", "retired"}:
            message = f"{guest}: the run that waited ended at {row['stage']}; see what it said"
            raise LaterError(message)
    click.echo(f"{guest}: {row['stage']}")
    return ExitCode.DONE
