"""`releve power`: look after the UPS and what it protects."""

from __future__ import annotations

import click

from releve.cli.lazy import LazyGroup

# verb -> (module in this package, one line of help)
VERBS = {
    "believe": ("power_believe", "Say what a UPS can be believed about."),
    "budget": ("power_budget", "Say whether the battery carries the shutdown."),
    "gate": ("power_gate", "Say whether each host is guarded, now."),
    "lint": ("power_lint", "Judge NUT's files: what would go wrong in a power cut."),
    "measure": ("power_measure", "Test a UPS, or pull its plug, and keep what was seen."),
    "notify": ("power_notify", "See that alarms arrive."),
    "scan": ("power_scan", "Find the UPSes on a host's cables, as entries for the town file."),
    "state": ("power_state", "Say how the UPSes and their batteries are."),
    "stops": ("power_stops", "Keep what the stops of hosts and guests took."),
}


@click.command(cls=LazyGroup, table=VERBS)
def command() -> None:
    """Look after the UPS and what it protects.

    Example: releve power believe dump.dev --need 600 --capacity 1800
    """
