"""The reference page of all checks, from their table.

`python -m releve.migrate.preflight.reference` writes it; a test fails when it is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import releve
from releve.migrate.preflight.table import GROUPS, NOT_MADE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.preflight.check import Check

FILE = Path(releve.__file__).parents[2] / "docs" / "reference" / "preflight.md"
HEAD = """\
# Preflight checks

Written by `python -m releve.migrate.preflight.reference` from the table of checks; do not edit.

`releve migrate plan` makes all of them for each guest, `releve migrate run` again before it begins.
They only read. Each gives a measured value and a verdict:

| verdict | meaning |
|---|---|
| `passed` | nothing stands in the way here |
| `warning` | the guest can move, and somebody should know this before |
| `failed` | the plan is refused (exit 5) |
| `cannot-know` | it could not be read; refused where the table says that it must be known |

A check is waived by its id and with a reason, in the town file (`guests.NAME.waive`) or on the
command line: `--waive 'copy-fresh=copied by hand on 4 December, C. Dupont'`. The reason stands in
the plan and in the evidence. An id that is not known is refused, and so is one that cannot be
waived.
"""


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    for title, group in GROUPS.items():
        lines += [f"## {title}", ""]
        for check in group.checks:
            lines += [*_entry(check), ""]
    lines += ["## Not made, and why", "", "| code | why |", "|---|---|"]
    lines += [f"| {code} | {why} |" for code, why in NOT_MADE.items()]
    return "\n".join(lines) + "\n"


def _entry(check: Check) -> Iterator[str]:
    yield f"### `{check.id}`"
    yield ""
    yield f"{check.title} ({check.code})"
    yield ""
    yield f"- Reads: {check.reads}."
    yield f"- Otherwise: {check.remedy}."
    if check.must_know:
        yield "- Must be known: a plan is refused when it could not be read."
    yield f"- Cannot be waived: {check.fixed}." if check.fixed else "- May be waived."


def write(file: Path = FILE) -> Path:
    """Write the page and return its file."""
    file.write_text(page(), encoding="utf-8")
    return file


if __name__ == "__main__":
    write()
