"""`releve power scan`: find the UPSes on a host's cables."""

from __future__ import annotations

import shlex

import click

from releve.cli.options import inventory_option, say, town_of
from releve.errors import CheckError, InputError, LaterError
from releve.power.scan import entries, read
from releve.ssh import Ssh

SECONDS = 120  # a scan of the buses; a device that does not answer takes some
NOT_THERE = 127  # a shell's code for a program that is not installed
UNREACHED = 255  # ssh's own code


@click.command()
@inventory_option
@click.argument("host")
@click.option("--snmp", metavar="ADDRESS", help="Ask this network card of a UPS instead of USB.")
@click.pass_context
def command(ctx: click.Context, host: str, snmp: str | None) -> None:
    """Print the UPSes that HOST finds as entries for the town file; change nothing.

    Ends with 4 when it finds none, with 75 when the host or its nut-scanner is not there.

    Example: releve power scan pve1
    """
    town = town_of(ctx)
    if host not in town.hosts:
        message = (
            f"{town.file.name}: hosts: there is no {host}; name one of {', '.join(town.hosts)}"
        )
        raise InputError(message)
    where = ["-S", "-s", snmp, "-e", snmp] if snmp else ["-U"]
    done = Ssh.to(town, host).run(
        shlex.join(["nut-scanner", "-q", "-P", *where]), timeout=SECONDS, check=False
    )
    if done.returncode == UNREACHED:
        words = (done.stderr.strip() or "without a word").splitlines()[-1]
        message = f"ssh does not reach {host}: {words}"
        raise LaterError(message)
    if done.returncode == NOT_THERE:
        needs = "nut-server, and nut-snmp for --snmp"
        message = f"{host} has no nut-scanner: install {needs} there, then scan again"
        raise LaterError(message)
    found = read(done.stdout)
    if not found:
        asked = f"at {snmp}" if snmp else "on a USB cable"
        message = f"{host} finds no UPS {asked}: is it plugged in, and is its card switched on?"
        raise CheckError(message)
    for line in done.stderr.splitlines():
        if "access" in line.lower() or "permission" in line.lower():
            say(line)
    click.echo(entries(found, host, town.ups))
