"""The page of preflight checks says what the table says."""

from __future__ import annotations

import re

from releve.migrate.preflight.reference import FILE, page
from releve.migrate.preflight.table import BY_ID, CHECKS, NOT_MADE

EVERY_CODE = {
    *(f"S{number}" for number in range(1, 21)),
    *(f"G{number}" for number in range(1, 15)),
    *(f"T{number}" for number in range(1, 16)),
    *(f"P{number}" for number in range(1, 8)),
}


def test_the_page_is_fresh() -> None:
    mend = ".venv/bin/python -m releve.migrate.preflight.reference"
    assert FILE.read_text() == page(), f"docs/reference/preflight.md is stale; run: {mend}"


def test_every_check_is_on_the_page() -> None:
    assert set(re.findall(r"^### `([a-z-]+)`$", page(), flags=re.M)) == set(BY_ID)


def test_every_code_of_the_list_is_a_check_or_has_a_reason() -> None:
    made = {code for check in CHECKS for code in check.code.split(", ")}

    assert made - {""} <= EVERY_CODE
    assert EVERY_CODE - made == set(NOT_MADE)
