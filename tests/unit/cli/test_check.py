"""`releve check` judges the waivers of a town file, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli import cli
from releve.errors import InputError

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"


def check(tmp_path: Path, waiver: str) -> None:
    """Check the lab's town with one more waiver of compta."""
    lines = LAB.read_text().splitlines()
    at = lines.index("  compta:") + 1
    file = tmp_path / "town.yml"
    file.write_text("\n".join([*lines[:at], f"    waive: {{{waiver}}}", *lines[at:]]))
    done = CliRunner().invoke(cli, ["-i", str(file), "check"])
    if done.exception is not None:
        raise done.exception


def test_a_waiver_that_can_be_is_no_fault(tmp_path: Path) -> None:
    check(tmp_path, "copy-fresh: by hand on the 4th")


@pytest.mark.parametrize(
    ("waiver", "why"),
    [
        ("copy-fesh: x", r'guests.compta.waive.copy-fesh: no check .* did you mean "copy-fresh"'),
        ("mac-free: x", r"waive.mac-free: mac-free cannot be waived: two machines"),
        ("copy-fresh: ' '", r"copy-fresh needs a reason"),
    ],
)
def test_a_waiver_that_cannot_be_is_named_with_its_line(
    tmp_path: Path, waiver: str, why: str
) -> None:
    with pytest.raises(InputError, match=r"^town\.yml:\d+: .*" + why):
        check(tmp_path, waiver)
