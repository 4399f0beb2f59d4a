"""The `releve` command: one small file per verb, loaded only when it is called."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import click

from releve import __version__
from releve.errors import ExitCode, ReleveError

# verb -> (module in this package, one line of help); a verb's module offers `command`.
VERBS = {
    "check": ("check", "Read the town file and say what is wrong with it."),
    "survey": ("survey", "Look at an old host, read-only, and write what it holds."),
    "drift": ("drift", "Compare the hosts with the town file; change nothing."),
    "migrate": ("migrate", "Move guests off the old host: plan, run, status, rollback."),
    "copy": ("copy", "Copy guests to the vault: run, list."),
    "drill": ("drill", "Try a promise and keep the evidence: power, restore."),
    "report": ("report", "Write one page of what was proved."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of VERBS."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb, or None when there is no such one."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"releve.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_module, text) in VERBS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
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
    """Run a verb; print an expected error as one line and end with its documented exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("releve: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except ReleveError as error:
        click.echo(f"releve: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


if __name__ == "__main__":
    main()
