"""The linters and the type checker find nothing; each tool is one test, so that all are heard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
TOOLS = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "yaml": ["yamllint", "--strict", "."],
    "spelling": ["codespell"],
}
# The floor of the language is checked even where a newer Python runs the tests.
TOOLS["types-newest"] = ["mypy", "--python-version", "3.13", "--cache-dir", ".mypy_cache/newest"]


def complaints(*words: str) -> str:
    """Run a tool of the virtual environment; return what it complains about, or nothing."""
    env = dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}")
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_python_and_yaml(tool: str) -> None:
    assert complaints(*TOOLS[tool]) == ""


@pytest.mark.slow
def test_ansible_content() -> None:
    assert complaints("ansible-lint", "--offline", "--strict") == ""


def test_shell() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; scripts/test installs it")
    scripts = [
        file
        for file in [
            *ROOT.glob("scripts/*"),
            *ROOT.glob("scripts/releve/**/*.sh"),
            ROOT / ".ci/run",
        ]
        if file.is_file()
    ]

    done = subprocess.run(
        [shellcheck, "-x", *map(str, scripts)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == ""
