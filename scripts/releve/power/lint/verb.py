"""`lint DIR`: judge a directory of NUT files; the verb of the zipapp and of `releve power`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import ExitCode, ReleveError
from releve.power.lint.host import installed_release, look, read_facts, with_scripts
from releve.power.lint.model import FILES, Facts
from releve.power.lint.read import read_directory
from releve.power.lint.releases import release_of
from releve.power.lint.units import Units, nut_folder, read_units
from releve.power.lint.verdict import Report, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path("/")  # of the host itself


def lint(
    folder: Path,
    *,
    host: bool = False,
    facts: Path | None = None,
    server: Path | None = None,
    release: str | None = None,
) -> Report:
    """Judge a directory, or a copy of /etc or of / that has it; raises InputError.

    `host`: it is this host's own, so look at the host too. `facts`: a file of facts gathered there.
    `server`: the directory of the host whose upsd the MONITOR lines name. `release`: of the NUT
    that reads it, where neither the host nor the facts say it.
    """
    nut = nut_folder(folder)
    known = read_facts(facts) if facts else Facts()
    if release is not None:
        known = replace(known, release=release_of(release))
    elif host and known.release is None:
        known = replace(known, release=installed_release())
    conf = read_directory(nut, known)
    conf = look(conf, nut) if host else with_scripts(conf, nut)
    units = read_units(ROOT if host else folder)
    if units != Units():
        conf = replace(conf, units=units)
    if server is not None:
        conf = replace(conf, server=read_directory(nut_folder(server)))
    return judge(conf)


def lines(report: Report, folder: Path) -> Iterator[str]:
    """Yield what a person reads: a line a finding, then the verdict."""
    nut = nut_folder(folder)
    for one in report.findings:
        place = (nut if one.file in FILES else folder) / one.where
        yield f"{one.level:6} {place}: {one.text} ({one.id})"
    count = len(report.findings)
    yield f"{folder}: {report.verdict}, {count} finding{'' if count == 1 else 's'}"


def exit_code(report: Report) -> ExitCode:
    """Return 4 for a refused directory, else 0."""
    return ExitCode.CHECK_FAILED if report.verdict == "refuse" else ExitCode.DONE


def main(arguments: Sequence[str]) -> int:
    """Run the verb; exit 0 for ok and warn, 4 for refuse, 2 when there is no such directory."""
    parser = argparse.ArgumentParser(prog="power.pyz lint", description=lint.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("/etc/nut"))
    parser.add_argument("--host", action="store_true", help="the directory is this host's own")
    parser.add_argument("--facts", type=Path, help="facts of its host, as JSON")
    parser.add_argument("--server", type=Path, help="the directory of the upsd that it names")
    parser.add_argument("--nut", metavar="RELEASE", help="the NUT that reads it, as 2.8.1")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args(arguments)
    try:
        report = lint(
            chosen.folder, host=chosen.host, facts=chosen.facts, server=chosen.server,
            release=chosen.nut,
        )  # fmt: skip
    except ReleveError as error:
        sys.stderr.write(f"lint: {error}\n")
        return error.exit_code
    if chosen.json:
        sys.stdout.write(json.dumps(report.document()) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(report, chosen.folder))
    return exit_code(report)
