"""A town's secrets are never encrypted under a key that nobody keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
KEY = "5" * 64


def vault(town: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-vault with the project's configuration, for a town."""
    env = os.environ | {"RELEVE_INVENTORY": str(town), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [BIN / "ansible-vault", *words],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_a_key_nothing_is_encrypted(tmp_path: Path) -> None:
    file = tmp_path / "secrets.yml"
    file.write_text("nut_primary_password: x\n")

    done = vault(tmp_path, "encrypt", str(file))

    assert done.returncode != 0
    assert f"{tmp_path}/.vault-key: there is no such key" in done.stderr
    assert file.read_text() == "nut_primary_password: x\n"


def test_with_the_towns_key_it_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / ".vault-key").write_text(KEY + "\n")
    file = tmp_path / "secrets.yml"
    file.write_text("nut_primary_password: x\n")

    assert vault(tmp_path, "encrypt", str(file)).returncode == 0
    assert file.read_text().startswith("$ANSIBLE_VAULT;")
    assert vault(tmp_path, "view", str(file)).stdout == "nut_primary_password: x\n"


def test_a_run_that_needs_no_secret_needs_no_key(tmp_path: Path) -> None:
    program = ROOT / "scripts/releve/ansible_plugins/vault_key.py"
    env = os.environ | {"RELEVE_INVENTORY": str(tmp_path)}
    keys = {
        subprocess.run([program], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(keys) == 2
    assert {len(key) for key in keys} == {64}
