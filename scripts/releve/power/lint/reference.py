"""The reference page of all findings, from the tables of rules.

`python -m releve.power.lint.reference` writes it; a test fails when it is stale.
"""

from __future__ import annotations

from pathlib import Path

import releve
from releve.power.lint.releases import DEBIAN_13, shown
from releve.power.lint.verdict import GROUPS

FILE = Path(releve.__file__).parents[2] / "docs" / "reference" / "power-findings.md"
HEAD = """\
# Findings of the NUT linter

Written by `python -m releve.power.lint.reference` from the tables of rules; do not edit.

`releve power lint DIR` reads NUT's files as NUT 2.8.1 of Debian 13 does, on the UPS's host also
`python3 power.pyz lint --host`. Each finding names its file and line. The worst one is the verdict:

| level | meaning | exit |
|---|---|---|
| `refuse` | the host would not be stopped or not be waited for, the UPS not cut or cut by the \
wrong host, a driver would not start, or a blip would stop the site | 4 |
| `warn` | it works, and should be mended | 0 |
| `note` | worth knowing | 0 |

A file that is not in DIR is not judged; with `--host` it is missing. What only the host knows
(addresses, modes and owners of files, drivers, programs that are called, a kill-power flag) is
judged with `--host` or with `--facts FILE`, a JSON file gathered there. With `--server DIR` the
MONITOR lines of a client are held against the files of its server. `--nut 2.8.0` (Debian 12) or
another release since then says which NUT reads the files; `--host` asks it, and a file of facts may
say it (`"nut": "2.8.4"`).

DIR may be a copy of `/etc` or of `/`, too: then the drop-ins of NUT's units, masks among them, are
judged with NUT's files (`systemd/system/nut-*.d`), as `--host` does. What the linter cannot know:
what a program does that a drop-in starts in place of NUT's own, whether a condition of a unit
holds, what is in an NSS database (the gate looks there), and the units that packages bring in
`/usr/lib`, which are taken to be those of Debian 13.

No finding shows a password.
"""


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    for title, rules in GROUPS.items():
        lines += [f"## {title}", "", "| id | level | what is wrong | what would be right |"]
        lines += ["|---|---|---|---|"]
        for rule in rules.values():
            wrong, right = (text.replace("|", "\\|") for text in (rule.wrong, rule.right))
            lines.append(f"| `{rule.id}` | {rule.level} | {_of(wrong)} | {_of(right)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _of(text: str) -> str:
    return text.replace("{at}", "…").replace("{nut}", shown(DEBIAN_13))


def write(file: Path = FILE) -> Path:
    """Write the page and return its file."""
    file.write_text(page(), encoding="utf-8")
    return file


if __name__ == "__main__":
    write()
