"""What must hold for the whole tree: no hidden failure, no long file, no foreign address."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HIDES_A_FAILURE = re.compile(r"ignore_errors:\s*(true|yes)|failed_when:\s*false|\|\|\s*true\b")
ALLOWED_AT_THE_ROOT = {
    ".ansible-lint", ".gitignore", ".pre-commit-config.yaml", ".yamllint", "CHANGELOG.md",
    "LICENSE", "README.md", "ansible.cfg", "pyproject.toml", "requirements.lock",
}  # fmt: skip


def tracked() -> list[Path]:
    """Return the files that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def below(*folders: str) -> list[Path]:
    """Return the tracked files below some folders."""
    return [file for file in tracked() if file.relative_to(ROOT).parts[0] in folders]


def test_nothing_hides_a_failure() -> None:
    guilty = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in below("roles", "playbooks", "pyinfra_deploys", "scripts", ".ci")
        if file.suffix in {".py", ".yml", ".yaml", ".sh", ".j2", ""}
        for line in file.read_text(errors="replace").splitlines()
        if HIDES_A_FAILURE.search(line)
    ]
    assert guilty == []


@pytest.mark.parametrize(("pattern", "limit"), [("*.py", 400), ("roles/*/tasks/*.yml", 80)])
def test_files_stay_short(pattern: str, limit: int) -> None:
    too_long = [
        f"{file.relative_to(ROOT)}: {lines} lines"
        for file in below("scripts", "roles")
        if file.match(pattern) and (lines := len(file.read_text().splitlines())) > limit
    ]
    assert too_long == []


def test_only_known_files_lie_at_the_root() -> None:
    at_root = {file.name for file in tracked() if file.parent == ROOT}

    assert at_root - ALLOWED_AT_THE_ROOT == set()


def test_the_lock_names_no_registry() -> None:
    assert not re.search(r"https?://", (ROOT / "requirements.lock").read_text())
