"""Each blocker of the survey is explained where people look it up."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs" / "reference" / "survey-blockers.md").read_text()
IDS = re.compile(r'Blocker\(\s*"([^"]+)"')


def test_every_blocker_of_the_code_is_on_the_page() -> None:
    files = sorted((CHECKOUT / "scripts" / "releve" / "migrate").rglob("*.py"))
    found = {id_ for file in files for id_ in IDS.findall(file.read_text())}
    prefixes = tuple(word[:-1] for word in re.findall(r"`([a-z-]+-X)`", PAGE))

    assert len(found) > 60
    assert {
        id_ for id_ in found if f"`{id_}`" not in PAGE and not id_.startswith(prefixes)
    } == set()
