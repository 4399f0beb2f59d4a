"""The `releve` command: one small file per verb, loaded only when it is called."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from releve import __version__
from releve.cli.lazy import LazyGroup, run_command

# verb -> (module in this package, one line of help); a verb's module offers `command`.
VERBS = {
    "check": ("check", "Read the town file and say what is wrong with it."),
    "survey": ("survey", "Look at an old host, read-only, and write what it holds."),
    "drift": ("drift", "Compare the hosts with the town file; change nothing."),
    "migrate": ("migrate", "Move guests off the old host: plan, run, status, rollback."),
    "copy": ("copy", "Copy guests to the vault: run, list."),
    "power": ("power", "Look after the UPS: what it can be believed about."),
    "drill": ("drill", "Try a promise and keep the evidence: provision, power, restore."),
    "report": ("report", "Write one page of what was proved."),
}


@click.command(cls=LazyGroup, table=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="releve")
@click.option(
    "-i",
    "--inventory",
    type=click.Path(path_type=Path),
    envvar="RELEVE_INVENTORY",
    default=Path("inventory/lab"),
    show_default=True,
    help="Folder of the town, or its town.yml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each step on stderr.")
@click.pass_context
def cli(ctx: click.Context, inventory: Path, verbose: bool) -> None:
    """Look after the server room of a town hall.

    Example: releve -i inventory/lab check
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    ctx.obj = inventory


def main() -> None:
    """Run a verb."""
    run_command(cli, "releve")


if __name__ == "__main__":
    main()
