"""`python -m tests.worlds [--mode MODE] [ID...]`: run scenarios, print how each ended.

`--page` writes docs/explanation/power-scenarios.md and runs nothing.
"""

from __future__ import annotations

import argparse

from tests.worlds import page
from tests.worlds.catalogue import ALL
from tests.worlds.runner import print_verdicts


def main() -> int:
    """Return 1 when one ended as it should not."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds")
    parser.add_argument("--mode", action="append", choices=["plain", "stock", "policy"])
    parser.add_argument("--page", action="store_true")
    parser.add_argument("ids", nargs="*")
    asked = parser.parse_args()
    if asked.page:
        page.FILE.write_text(page.render(), encoding="utf-8")
        return 0
    pairs = [
        (scenario, mode)
        for scenario in ALL
        for mode in scenario.expected
        if (not asked.ids or scenario.id in asked.ids) and (not asked.mode or mode in asked.mode)
    ]
    return 1 if print_verdicts(pairs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
