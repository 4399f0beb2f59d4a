"""What every command of ours does: import late, and end in one sentence and a documented code."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from releve.errors import ExitCode, ReleveError

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULT = Path("build/log/fault.log")
INTERRUPTED = 130  # 128 + SIGINT, as shells say it


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: `--help` stays fast.

    `table` says for each command its module in `releve.cli`, which offers `command`, and one line
    of help.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **options: Any) -> None:  # noqa: ANN401  # click's own
        """Keep the table; the rest is click's."""
        super().__init__(*args, **options)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None when there is no such one."""
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(f"releve.cli.{self.table[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in self.table.items()])


def run_command(command: click.Command, name: str, interrupted: str = "interrupted") -> NoReturn:
    """Run a command to its end: an expected error is one line, and its exit code is documented."""
    try:
        code = command.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(f"{name}: {interrupted}", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except ReleveError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  # the last line: no traceback reaches a user
        click.echo(
            f"{name}: a fault of ours, {type(error).__name__}: {error}; see {FAULT}", err=True
        )
        FAULT.parent.mkdir(parents=True, exist_ok=True)
        FAULT.touch(mode=0o600)
        FAULT.write_text(traceback.format_exc(), encoding="utf-8")
        sys.exit(ExitCode.FAILED)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)
