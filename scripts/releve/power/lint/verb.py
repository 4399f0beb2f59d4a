"""`lint DIR`: judge a directory of NUT files; the verb of the zipapp and of `releve power`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import ExitCode, ReleveError
from releve.power.lint.host import look, read_facts, with_scripts
from releve.power.lint.read import read_directory
from releve.power.lint.verdict import Report, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def lint(
    folder: Path, *, host: bool = False, facts: Path | None = None, server: Path | None = None
) -> Report:
    """Judge a directory; raises InputError.

    `host`: it is this host's own, so look at the host too. `facts`: a file of facts gathered there.
    `server`: the directory of the host whose upsd the MONITOR lines name.
    """
    conf = read_directory(folder, read_facts(facts) if facts else None)
    conf = look(conf, folder) if host else with_scripts(conf, folder)
    if server is not None:
        conf = replace(conf, server=read_directory(server))
    return judge(conf)


def lines(report: Report, folder: Path) -> Iterator[str]:
    """Yield what a person reads: a line a finding, then the verdict."""
    for one in report.findings:
        yield f"{one.level:6} {folder / one.where}: {one.text} ({one.id})"
    yield f"{folder}: {report.verdict}, {len(report.findings)} findings"


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
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args(arguments)
    try:
        report = lint(chosen.folder, host=chosen.host, facts=chosen.facts, server=chosen.server)
    except ReleveError as error:
        sys.stderr.write(f"lint: {error}\n")
        return error.exit_code
    if chosen.json:
        sys.stdout.write(json.dumps(report.document()) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(report, chosen.folder))
    return exit_code(report)
