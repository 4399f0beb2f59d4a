"""`python -m releve.lab`: the lab's own commands; `scripts/lab` prepares the machine first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from releve.errors import InputError, ReleveError
from releve.lab import guests, images
from releve.lab.topology import Lab

ROOT = Path(__file__).resolve().parents[3]


def tell(text: str) -> None:
    """Print a line of progress."""
    click.echo(text, err=True)


@click.group()
def cli() -> None:
    """Bring the embedded town hall up, look inside, take it down.

    Example: python -m releve.lab up
    """


@cli.command()
def up() -> None:
    """Bring the lab up, with its guests working on the old host."""
    lab = Lab.of(ROOT)
    with lab.exclusive():
        images.ensure(tell)
        guests.ensure(lab.town, tell)
        lab.up(tell)


@cli.command()
def down() -> None:
    """Remove all that belongs to this checkout's lab."""
    lab = Lab.of(ROOT)
    with lab.exclusive():
        lab.down()


@cli.command()
def status() -> None:
    """Say which hosts have power."""
    lab = Lab.of(ROOT)
    for name, host in lab.town.hosts.items():
        state = "running" if lab.running(name) else "off"
        click.echo(f"{name:12} {host.address!s:16} {state}")


@cli.command()
@click.argument("host", required=False)
def shell(host: str | None) -> None:
    """Open a shell on HOST; without HOST, at the workstation's place in the lab's network."""
    lab = Lab.of(ROOT)
    if not lab.is_up():
        message = "the lab is down; bring it up with: scripts/lab up"
        raise InputError(message)
    if host is None:
        os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
        argv = lab.workstation([os.environ.get("SHELL", "/bin/sh")])
    elif host in lab.town.hosts:
        argv = ["podman", "--runtime", "runc", "exec", "-it", lab.part(host), "/bin/sh"]
    else:
        message = f"{host}: no such host; the lab has {', '.join(lab.town.hosts)}"
        raise InputError(message)
    os.execvp(argv[0], argv)  # noqa: S606  # no shell of ours in between is the point


def main() -> None:
    """Run a command; print an expected error as one line."""
    try:
        cli()
    except ReleveError as error:
        click.echo(f"lab: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
