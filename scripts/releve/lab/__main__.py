"""`python -m releve.lab`: the lab's own commands; `scripts/lab` prepares the machine first."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from releve.cli.lazy import run_command
from releve.errors import InputError, ReleveError
from releve.lab import extra, guests, images, machine, molecule
from releve.lab.run import Progress, interrupt_on_signals, run_stages
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
    machine.need_root()


def bring_up(lab: Lab, progress: Progress) -> None:
    """Check the machine, build what is missing, start the hosts and the guests."""
    begun = time.monotonic()
    lab.down()
    machine.check(lab)
    images.ensure(progress.note)
    guests.ensure(lab.town, progress.note)
    progress.done("images", "done", begun)
    begun = time.monotonic()
    lab.up(progress.note)
    progress.done("up", "done", begun)


@cli.command()
@click.option("--keep", is_flag=True, help="Leave the lab up at the end.")
def run(keep: bool) -> None:
    """Do the whole job: up, every stage, report, down."""
    lab, progress = Lab.of(ROOT), Progress(tell)
    interrupt_on_signals()
    with lab.exclusive():
        try:
            bring_up(lab, progress)
            whole = run_stages(lab, progress)
        except BaseException:
            lab.down()
            raise
        if not keep:
            begun = time.monotonic()
            lab.down()
            progress.done("down", "done", begun)
    report = ROOT / "build" / "report" / "index.html"
    if report.exists():
        click.echo(f"report: {report.as_uri()}")
    if keep:
        tell("the lab is up: scripts/lab status, scripts/lab shell HOST, scripts/lab down")
    if not whole:
        message = f"a stage failed; its lines are above, its log is in {lab.logs}"
        raise ReleveError(message)


@cli.command()
def up() -> None:
    """Bring the lab up, with its guests working on the old host."""
    lab = Lab.of(ROOT)
    interrupt_on_signals()
    with lab.exclusive():
        try:
            bring_up(lab, Progress(tell))
        except BaseException:
            lab.down()
            raise


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
        os.environ.update(molecule.environment(lab, ROOT / "roles"))
        argv = lab.workstation([os.environ.get("SHELL", "/bin/sh")])
    elif host in lab.town.hosts:
        terminal = ["--interactive", *(["--tty"] if sys.stdin.isatty() else [])]
        argv = ["podman", "--runtime", "runc", "exec", *terminal, lab.part(host), "/bin/sh"]
    else:
        message = f"{host}: no such host; the lab has {', '.join(lab.town.hosts)}"
        raise InputError(message)
    os.execvp(argv[0], argv)  # noqa: S606  # no shell of ours in between is the point


@cli.command("host-up")
@click.argument("name")
@click.option("--wish", default="{}", help='JSON, as an entry of lab.yml: {"disk": "/srv/vault"}.')
def host_up(name: str, wish: str) -> None:
    """Make one more host and print, as JSON, how to reach it from the lab's network."""
    lab = Lab.of(ROOT)
    images.ensure(tell)
    made = extra.up(lab, name, extra.Wish.model_validate_json(wish))
    click.echo(json.dumps({"name": name, "address": str(made.address), **made.variables}))


@cli.command("host-down")
@click.argument("name")
def host_down(name: str) -> None:
    """Remove a host that host-up made."""
    extra.down(Lab.of(ROOT), name)


@cli.command("scenario-up")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("inventory", type=click.Path(path_type=Path))
def scenario_up(folder: Path, inventory: Path) -> None:
    """Make the hosts of the Molecule scenario in FOLDER and write the Ansible file INVENTORY."""
    images.ensure(tell)
    extra.scenario_up(Lab.of(ROOT), molecule.scenario_name(folder), folder, inventory)


@cli.command("scenario-down")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def scenario_down(folder: Path) -> None:
    """Remove the hosts of the Molecule scenario in FOLDER."""
    extra.scenario_down(Lab.of(ROOT), molecule.scenario_name(folder), folder)


@cli.command("molecule")
@click.argument("roles", nargs=-1)
def molecule_test(roles: tuple[str, ...]) -> None:
    """Run Molecule for all ROLES, or for those named, and show what failed."""
    lab, progress = Lab.of(ROOT), Progress(tell)
    interrupt_on_signals()

    def hear(result: molecule.Result) -> None:
        name = result.log.stem.removeprefix("molecule-")
        progress.done(
            name, "done" if result.passed else "FAILED", time.monotonic() - result.seconds
        )
        if not result.passed:
            progress.tail(result.log)

    with lab.exclusive():
        was_up = lab.is_up()
        if not was_up:
            lab.down()
        machine.check(lab)
        images.ensure(progress.note)
        try:
            results = molecule.test(lab, roles, hear)
        finally:
            if not was_up:
                lab.down()
    if failed := [result.role for result in results if not result.passed]:
        message = f"Molecule failed for {', '.join(failed)}; the logs are in {lab.logs}"
        raise ReleveError(message)


def main() -> None:
    """Run a command; print an expected error as one line."""
    run_command(cli, "lab", "interrupted; what it made is gone")


if __name__ == "__main__":
    main()
