"""pyinfra reads the same town file, and is given the old hosts only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TOWN = ROOT / "inventory" / "lab" / "town.yml"


def listed(town: Path) -> subprocess.CompletedProcess[str]:
    """Let pyinfra show what it makes of a town file."""
    pyinfra = Path(sys.executable).parent / "pyinfra"
    return subprocess.run(
        [str(pyinfra), "pyinfra_deploys/inventory.py", "debug-inventory"],
        cwd=ROOT,
        env=dict(os.environ, RELEVE_INVENTORY=str(town)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_pyinfra_gets_the_old_hosts_and_verifies_their_keys() -> None:
    done = listed(TOWN)
    said = done.stdout + done.stderr

    assert done.returncode == 0
    assert "[old]" in said
    assert "[pve1]" not in said
    assert '"ssh_strict_host_key_checking": "yes"' in said


def test_a_wrong_town_is_one_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "town.yml"
    wrong.write_text(TOWN.read_text().replace("kind: bay", "kind: bya"))

    done = listed(wrong)
    said = done.stdout + done.stderr

    assert done.returncode == 2
    assert 'hosts.nas.kind: "bya" is not one of' in said
    assert "Traceback" not in said
