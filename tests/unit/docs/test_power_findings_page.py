"""The page of findings says what the rules say."""

from __future__ import annotations

import re

from releve.power.lint.reference import FILE, page
from releve.power.lint.verdict import ALL


def test_the_page_is_fresh() -> None:
    mend = ".venv/bin/python -m releve.power.lint.reference"
    assert FILE.read_text() == page(), f"docs/reference/power-findings.md is stale; run: {mend}"


def test_every_rule_is_on_the_page() -> None:
    assert set(re.findall(r"^\| `([A-Z0-9_]+)` \|", page(), flags=re.M)) == set(ALL)
