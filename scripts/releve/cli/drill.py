"""`releve drill`: try a promise and keep the evidence."""

from __future__ import annotations

import importlib

import click

# drill -> one line of help; its module `drill_NAME` offers `command`.
DRILLS = {
    "provision": "Set the hosts up twice; a change made by hand is found and undone.",
    "power": "Cut the mains; everybody stops in order and comes back.",
    "restore": "Destroy a guest and bring it back from the vault.",
}


class Drills(click.Group):
    """A group whose drills are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the drills."""
        return list(DRILLS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one drill, or None when there is no such one."""
        if cmd_name not in DRILLS:
            return None
        module = importlib.import_module(f"releve.cli.drill_{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the drills without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(DRILLS.items()))


@click.command(cls=Drills)
def command() -> None:
    """Try a promise and keep the evidence in build/evidence.

    Example: releve drill power --lab
    """
