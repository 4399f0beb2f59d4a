"""The play that moves all guests calls the engine with the inventory that it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
ENGINE = """\
#!/bin/sh
echo "$*" >> "$(dirname "$0")/said"
echo '{{"guest": "compta", "event": "{event}"}}'
exit {code}
"""


def play(folder: Path, event: str, code: int) -> tuple[int, str]:
    """Play it with an engine that tells one event and ends; return the exit code and the recap."""
    (folder / "releve").write_text(ENGINE.format(event=event, code=code))
    (folder / "releve").chmod(0o755)
    words = ["-i", "inventory/lab/town.yml", "playbooks/migrate.yml"]
    extra = json.dumps({"migrate_engine": str(folder / "releve")})
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), *words, "-e", extra],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("event", "changes"), [("moved", 1), ("check", 0)])
def test_it_changes_what_moves(tmp_path: Path, event: str, changes: int) -> None:
    code, said = play(tmp_path, event, 0)

    assert code == 0, said
    assert f"changed={changes} " in said
    words = (tmp_path / "said").read_text().split()
    assert words[:2] == ["-i", str(ROOT / "inventory/lab/town.yml")]
    assert words[2:] == ["migrate", "run", "--all", "--json", "--on-shut-gate", "stay"]


def test_a_guest_that_needs_a_person_ends_it(tmp_path: Path) -> None:
    code, said = play(tmp_path, "check", 1)

    assert code == 2, said
    assert "failed=1 " in said
